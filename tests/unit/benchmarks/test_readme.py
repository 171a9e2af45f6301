from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import readme
from benchmarks.figures import Sample
from benchmarks.machine import Machine
from benchmarks.report import tables
from benchmarks.results import Results, ServerResult, WorkloadResult

BEGIN, END = readme.FIGURES.begin, readme.FIGURES.end
MACHINE = Machine("2026-01-02 03:04 UTC", "Some CPU", 2, "6.1", "3.11.7", {"uvicorn": "1"}, 0.25, {})


def server(rates: list[int], setting: str = "") -> ServerResult:
    result = ServerResult(setting)
    for rate in rates:
        result.add(64, Sample(rate, 1.0, 1.0, 2.5, {"gateway": rate * 150e-6}, 0.5))
    return result


def results() -> Results:
    trireme = server([3000, 4000, 2000], setting="1 instance")
    trireme.tried = {"1 instance": 3100.0, "2 instances": 2900.0}
    servers = {"anchor": ServerResult(failure="a | b < c"), "single-file": server([1000, 2000, 1000])}
    workload = WorkloadResult("trivial", "a note", {**servers, "trireme": trireme})
    missing = WorkloadResult("digits", "pictures", failure="no model")
    return Results("python -m benchmarks --write", MACHINE, 3, 5.0, [workload, missing])


def test_the_section_between_the_marks_is_replaced_and_nothing_else() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    once = readme.replace_section(page, "new", readme.FIGURES)
    assert once == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nafter\n"
    assert readme.replace_section(once, "new", readme.FIGURES) == once


@pytest.mark.parametrize(
    "page",
    [
        "no marks",
        BEGIN,
        END + BEGIN,
        BEGIN * 2 + END,
        BEGIN + END * 2,
    ],
)
def test_marks_that_are_not_one_pair_are_refused(page: str) -> None:
    with pytest.raises(readme.ReadmeError):
        readme.replace_section(page, "new", readme.FIGURES)


def test_every_section_of_the_page_that_ships_can_be_written_alone() -> None:
    page = readme.README.read_text("utf-8")
    both = readme.replace_section(page, "these are figures", readme.FIGURES)
    both = readme.replace_section(both, "these are peers", readme.PEERS)
    assert "these are figures" in both
    assert "these are peers" in both


def test_figures_stand_beside_command_machine_and_date(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    readme.write(page, results(), readme.FIGURES)
    text = page.read_text()
    for words in ("`python -m benchmarks --write`", "2026-01-02 03:04 UTC", "2 cores of Some CPU", "0.25"):
        assert words in text
    assert "| trireme | 1 instance | 64 | 3,000 (2,000-4,000) | 1.00 | 2.50 | 150 | 50% |" in text
    assert "| workload | server | connections | gateway |" in text
    # 3, 2 and 2, round by round
    assert "| trivial | trireme / single-file | 64 | 2.00 (2.00-3.00) | 1.00 | 1.00 | 1.00 |" in text
    assert "- trivial, trireme: 1 instance 3,100, 2 instances 2,900" in text


def test_what_failed_is_said_and_has_no_row() -> None:
    text = readme.render(results())
    assert "- trivial/anchor: a \\| b &lt; c" in text
    assert "- digits: no model" in text
    assert "| anchor |" not in text


def test_goals_say_no_as_plainly_as_yes() -> None:
    goals = tables(results())[-1]
    assert [row[1:] for row in goals.rows] == [("yes", "2.00 (2.00-3.00)"), ("yes", "150")]
    slow = results()
    slow.workloads[0].servers["trireme"] = server([1000, 1500, 1200])
    assert [row[1] for row in tables(slow)[-1].rows] == ["NO", "yes"]


def test_plain_values_carry_every_sample() -> None:
    content = results().as_dict()
    samples = content["workloads"][0]["servers"]["trireme"]["samples"]["64"]
    assert [sample["requests_per_second"] for sample in samples] == [3000, 4000, 2000]
    assert content["machine"]["cores"] == 2
