from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.figures import Sample
from benchmarks.turns import main, middle, table


def sample(requests: int, cpu_seconds: float, p50_ms: float) -> Sample:
    return Sample(requests, 1.0, p50_ms, 9.0, {"program": cpu_seconds}, 0.1)


def test_the_middle_half_is_given_with_the_median() -> None:
    assert middle([1.0, 2.0, 3.0, 4.0, 100.0]) == "3.00 (2.00-4.00)"


def test_a_ratio_is_of_one_round_and_not_of_medians() -> None:
    slow_then_quick = [sample(100, 0.1, 1.0), sample(200, 0.1, 2.0), sample(1000, 0.1, 4.0)]
    twice_each = [sample(200, 0.1, 0.5), sample(400, 0.1, 1.0), sample(2000, 0.1, 2.0)]
    console = Console(width=120, record=True, quiet=True)
    with console.capture() as said:
        console.quiet = False
        console.print(table({"one": slow_then_quick, "other": twice_each}))
    first, other = (line for line in said.get().splitlines() if "one" in line or "other" in line)
    assert "1.00 (1.00-1.00)" in first
    assert "2.00 (2.00-2.00)" in other  # requests a second
    assert other.count("0.50 (0.50-0.50)") == 2  # CPU a request, and p50


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["--rounds", "3"], ["--seconds", "0"], ["--connections", "0"], ["--workload", "none"]],
)
def test_wrong_usage_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_what_is_no_checkout_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--beside", str(tmp_path)])
    assert "is no checkout" in capsys.readouterr().err
