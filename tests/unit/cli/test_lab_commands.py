"""The lab's commands: found where the lab is, and their arguments passed on as they are."""

import subprocess
import sys

import pytest

from trireme_cli.app import run
from trireme_cli.failure import Failure
from trireme_cli.lab_commands import MODULES, run_module


def test_this_process_becomes_the_lab() -> None:
    became: list[tuple[str, list[str]]] = []

    run_module("optimize", ["m", "--json"], lambda path, arguments: became.append((path, arguments)))

    assert became == [(sys.executable, [sys.executable, "-m", "trireme_lab.optimization", "m", "--json"])]


def test_without_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trireme_lab", None)  # what is None there cannot be imported

    with pytest.raises(Failure, match="needs the lab"):
        run_module("export", [], lambda *_: None)


@pytest.mark.parametrize("command", sorted(MODULES))
def test_listed_with_the_others(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert f" {command} " in capsys.readouterr().out


def test_help_and_exit_codes_are_those_of_the_lab() -> None:
    def trireme(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "trireme_cli", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    with trireme("export", "--help") as shown, trireme("export", "source") as wrong:
        out, _ = shown.communicate(timeout=120)
        _, said = wrong.communicate(timeout=120)

    assert (shown.returncode, "usage: trireme export" in out) == (0, True)
    assert (wrong.returncode, "--into" in said) == (2, True)
