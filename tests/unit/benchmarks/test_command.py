"""What a command tells while it runs, and what it leaves."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from benchmarks.command import leave, progress
from benchmarks.machine import Machine
from benchmarks.results import Results, WorkloadResult

MACHINE = Machine("2026-01-02 03:04 UTC", "Some CPU", 2, "6.1", "3.11.7", {}, 0.25, {})


def test_every_step_is_a_line_on_stderr_where_that_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress(2) as tell:
        tell("the first")
        tell("the second")
    captured = capsys.readouterr()
    assert [line.partition(" s  ")[2] for line in captured.err.splitlines()] == ["the first", "the second"]
    assert captured.out == ""


@pytest.mark.parametrize(("failure", "code"), [("", 0), ("no model", 1)])
def test_a_failed_case_is_said_in_the_exit_code_and_in_the_file(
    failure: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Results("a command", MACHINE, 1, 2.0, [WorkloadResult("peers", "", failure=failure)])
    file = tmp_path / "out.json"
    assert leave(results, file, None) == code
    assert orjson.loads(file.read_bytes())["workloads"][0]["failure"] == failure
    printed = capsys.readouterr().out
    assert "a command" in printed
    assert ("FAILED peers: no model" in printed) == bool(failure)
