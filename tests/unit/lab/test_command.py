"""Every end of a command of the lab is a sentence and a code."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable

import pytest
from rich.console import Console

from tests.support.signals import interruptible as interruptible
from trireme_lab.command import Commit, run
from trireme_lab.failure import LabFailure, LabUsage

pytestmark = pytest.mark.usefixtures("interruptible")


def ended(work: Callable[[Commit], None]) -> tuple[int, str]:
    said = io.StringIO()
    return run(work, Console(file=said, soft_wrap=True)), said.getvalue()


def raising(error: Exception) -> Callable[[Commit], None]:
    def work(commit: Commit) -> None:
        raise error

    return work


def test_a_good_end_says_nothing() -> None:
    assert ended(lambda commit: commit()) == (0, "")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (LabFailure("no [weights]"), 1, "trireme: no [weights]\n"),
        (LabUsage("no such file"), 2, "trireme: no such file\n"),
    ],
)
def test_failures(error: LabFailure, code: int, said: str) -> None:
    assert ended(raising(error)) == (code, said)


def test_a_surprise_shows_its_traceback_on_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIREME_DEBUG", raising=False)
    code, said = ended(raising(KeyError("x")))
    assert code == 1
    assert "this should not have happened: KeyError: 'x'\nTRIREME_DEBUG=1 shows where" in said

    monkeypatch.setenv("TRIREME_DEBUG", "1")
    with pytest.raises(KeyError):
        ended(raising(KeyError("x")))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_work_which_puts_away_what_it_began(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    begun = []

    def work(commit: Commit) -> None:
        begun.append("draft")
        try:
            os.kill(os.getpid(), number)
            begun.append("more")
        finally:
            os.kill(os.getpid(), number)  # one Ctrl-C can arrive twice
            begun.remove("draft")

    assert ended(work) == (0, "trireme: stopped; nothing was written\n")
    assert begun == []
    assert signal.getsignal(number) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_being_put_in_place_comes_to_its_end(number: signal.Signals) -> None:
    written = []

    def work(commit: Commit) -> None:
        commit()
        os.kill(os.getpid(), number)
        written.append("version")

    assert ended(work) == (0, "")
    assert written == ["version"]


def test_a_signal_that_was_turned_off_stays_off() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert ended(lambda commit: os.kill(os.getpid(), signal.SIGINT)) == (0, "")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
