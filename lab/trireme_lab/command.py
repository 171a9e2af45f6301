"""How each command of the lab ends: what failed, was stopped, or surprised becomes a sentence and a code.

0 done, or stopped by a signal; 1 it did not work; 2 it was asked for in a way that cannot be honoured.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from trireme_lab.failure import LabFailure

EXIT_FAILURE = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# One Ctrl-C can arrive twice, from the terminal and from a program around us that passes it on.
_SAME_REQUEST_SECONDS = 0.5

Commit = Callable[[], None]
"""Called right before the version is put in place: what is begun then is brought to its end."""


def run(work: Callable[[Commit], None], people: Console) -> int:
    """Does `work` and returns the exit code; the reason of any but a good end is shown to `people`.

    Until `work` calls its Commit, SIGINT and SIGTERM end it with a KeyboardInterrupt, so that it puts away
    what it began; afterwards they come too late. From the main thread only.
    """
    try:
        with _stoppable() as commit:
            work(commit)
    except KeyboardInterrupt:
        people.print("trireme: stopped; nothing was written", markup=False)
    except LabFailure as failure:
        people.print(f"trireme: {failure}", style="red", markup=False)
        return failure.exit_code
    except Exception as error:
        if os.environ.get("TRIREME_DEBUG"):
            raise
        people.print(
            f"trireme: this should not have happened: {type(error).__name__}: {error}\n"
            "TRIREME_DEBUG=1 shows where; please report it.",
            style="red",
            markup=False,
        )
        return EXIT_FAILURE
    return 0


def end_at_once_while_importing() -> None:
    """Signals end the process quietly until `run` takes them. An exception raised while modules are being
    imported could be swallowed there, and nothing is begun yet."""
    for number in _heeded():
        signal.signal(number, _nothing_begun)


@contextmanager
def _stoppable() -> Iterator[Commit]:
    last = float("-inf")

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > _SAME_REQUEST_SECONDS:
            last = now
            raise KeyboardInterrupt

    def commit() -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)

    before = {number: signal.signal(number, stop) for number in _heeded()}
    try:
        yield commit
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heeded() -> list[signal.Signals]:
    """Those that whoever started this process has not turned off, as `nohup` and a shell's `&` do."""
    return [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


def _nothing_begun(number: int, frame: FrameType | None) -> None:
    os._exit(0)
