"""Inference servers in turns: what is asked for, and what is said of the answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Sample
from benchmarks.inference.asking import Taken
from benchmarks.inference.comparison import Visit, tables
from benchmarks.inference.turns import main, read_turns, steps
from benchmarks.peers.catalog import ROOT
from benchmarks.window import Window


def taken(rate: float, cpu_us: float, latencies_ms: list[float]) -> Taken:
    """One second of load."""
    number = round(rate)
    p50, p99 = latencies_ms[len(latencies_ms) // 2], latencies_ms[-1]
    return Taken(Sample(number, 1.0, p50, p99, {"server": number * cpu_us / 1e6}, 0.1), latencies_ms)


def visit(rate: float, cpu_us: float, busy: float, own: float, same: float) -> Visit:
    """Answers that all took so many milliseconds."""
    return Visit(*(taken(rate, cpu_us, [each] * 10) for each in (busy, own, same)))


def rows(table: Table) -> dict[str, list[str]]:
    """Cells of each line, by the first of them."""
    cells = list(zip(*(column.cells for column in table.columns), strict=True))
    return {str(first): [str(cell) for cell in more] for first, *more in cells}


OURS = [visit(100, 1000, 4, 2, 2), visit(200, 1000, 8, 4, 4), visit(400, 1000, 2, 1, 1)]
THEIRS = [visit(50, 1500, 6, 3, 8), visit(100, 1500, 12, 6, 16), visit(200, 1500, 3, 1.5, 4)]
VISITS = {"trireme": OURS, "mosec": THEIRS}
SETTINGS = {"trireme": "as it tunes itself", "mosec": "2 workers"}


def test_medians_are_given_with_the_setting() -> None:
    medians, _, _ = tables(VISITS, SETTINGS)
    found = rows(medians)
    assert found["trireme"] == ["as it tunes itself", "200", "1,000", "4.00", "2.00", "2.00", "2.00", "2.00"]
    assert found["mosec"] == ["2 workers", "100", "1,500", "6.00", "3.00", "3.00", "8.00", "8.00"]


def test_a_ratio_is_of_one_round_and_of_the_first_server() -> None:
    _, ratios, _ = tables(VISITS, SETTINGS)
    found = rows(ratios)
    assert set(found["trireme"]) == {"1.00 (1.00-1.00)"}
    assert [cell.split()[0] for cell in found["mosec"]] == [
        "0.50",
        "1.50",
        "1.50",
        "1.50",
        "1.50",
        "4.00",
        "4.00",
    ]


def test_the_tail_of_all_rounds_is_that_of_their_answers_together() -> None:
    one_slow = [*[1.0] * 99, 50.0]
    calm = Visit(*[taken(100, 1000, [1.0] * 100)] * 3)
    spoilt = Visit(taken(100, 1000, one_slow), *[taken(100, 1000, [2.0] * 100)] * 2)
    _, _, tails = tables({"calm": [calm, calm], "spoilt": [spoilt, calm]}, {"calm": "", "spoilt": ""})
    found = rows(tails)
    assert found["calm"] == ["1.00"] * 6
    assert found["spoilt"] == ["1.00", "1.00", "2.00", "2.00", "2.00", "2.00"]


def test_tables_fit_where_there_is_no_terminal() -> None:
    console = Console(width=170)
    with console.capture() as said:
        console.print(*tables(VISITS, SETTINGS), sep="\n")
    assert "…" not in said.get()
    assert said.get().count("1.50 (1.50-1.50)") == 4


def test_by_default_the_platform_is_what_others_are_compared_with() -> None:
    asked = read_turns([])
    assert (asked.model.name, asked.names) == ("encoder", ("trireme", "mosec", "single-file"))
    assert (asked.rounds, asked.window, asked.beside) == (12, Window(0.2, 1.5), None)


def test_servers_stand_in_the_order_asked_for_and_each_once() -> None:
    arguments = ["--ours", "trireme-stream,trireme,trireme-stream", "--peers", "", "--beside", str(ROOT)]
    asked = read_turns(arguments)
    assert asked.names == ("trireme-stream", "trireme", "beside")
    assert asked.beside == ROOT
    assert steps(asked) == 1 + 3 + 12


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ours", "mosec"],
        ["--ours", ""],
        ["--peers", "trireme"],
        ["--model", "none"],
        ["--rounds", "3"],
        ["--seconds", "0"],
    ],
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
