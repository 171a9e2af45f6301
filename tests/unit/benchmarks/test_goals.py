from __future__ import annotations

import pytest

from benchmarks.figures import Sample, Spread
from benchmarks.goals import GOALS
from benchmarks.machine import Machine
from benchmarks.report import tables
from benchmarks.results import MemoryResult, Results, ServerResult, WorkloadResult

MACHINE = Machine("2026-01-02 03:04 UTC", "Some CPU", 2, "6.1", "3.11.7", {}, 0.25, {})
PARTS = {"preprocess": 0.1, "queue": 0.0, "inference": 0.2, "postprocess": 0.1, "gateway": 0.2, "total": 0.6}


def server(rate: int, p50_ms: float, cpu_us: float = 150.0) -> ServerResult:
    result = ServerResult()
    result.add(1, Sample(100, 1.0, p50_ms, 9.0, {"gateway": 0.1}, 0.1, PARTS))
    result.add(64, Sample(rate, 1.0, 9.0, 9.0, {"gateway": rate * cpu_us / 1e6}, 0.1))
    return result


def measured() -> Results:
    trivial = {
        "anchor": server(9000, 0.05, 25.0),
        "single-file": server(1000, 1.0),
        "trireme": server(2000, 2.0),
        "trireme-uncoalesced": server(500, 1.9),
        "trireme-in-process": server(3000, 0.9),
    }
    text = {"single-file": server(1000, 1.0), "trireme": server(990, 2.0)}
    cache = {"constant": server(1000, 1.0), "memory-hit": server(950, 1.0), "redis-hit": server(500, 1.0)}
    workloads = [
        WorkloadResult("trivial", "", trivial),
        WorkloadResult("sentiment-zh", "", text),
        WorkloadResult("cache", "", cache),
    ]
    memory = MemoryResult({0: {"gateway": 80.0, "inference": 120.0}, 10_400: {"gateway": 90.0}})
    return Results("python -m benchmarks", MACHINE, 1, 2.0, workloads, memory)


def table(results: Results, title: str) -> tuple[tuple[str, ...], ...]:
    return next((each.rows for each in tables(results) if each.title.startswith(title)), ())


def test_every_goal_is_judged_by_its_own_figure() -> None:
    assert [row[1:] for row in table(measured(), "Goals")] == [
        ("yes", "2.00"),  # P1
        ("NO", "0.99"),  # sentiment-zh; digits was not measured and has no row
        ("yes", "150"),  # P2
        ("yes", "6.00"),
        ("yes", "1.10"),  # P3
        ("yes", "22.0"),
        ("yes", "4.00"),  # P4
        ("NO", "1.05"),  # 2.0 / 1.9 rounds to the bound and is over it
        ("yes", "0.95"),  # P7
        ("NO", "0.50"),
        ("yes", "200"),  # P9
    ]


def test_p1_has_a_line_for_every_peer() -> None:
    rates = {"litserve": 340, "bentoml": 240, "mlserver": 390, "ray": 100, "pytriton": 1000, "mosec": 6000}
    servers = {name: server(rate, 9.0) for name, rate in rates.items()}
    servers |= {"trireme": server(2000, 2.0), "single-file": server(1400, 1.0)}
    results = Results("", MACHINE, 1, 2.0, [WorkloadResult("peers", "", servers)])
    rows = {words.rpartition(" ")[2]: said for words, *said in table(results, "Goals")}
    assert rows == {
        "litserve": ["NO", "5.88"],
        "bentoml": ["yes", "8.33"],
        "mlserver": ["yes", "5.13"],
        "ray": ["yes", "20.00"],
        "pytriton": ["yes", "2.00"],
        "single-file": ["NO", "1.43"],
        "mosec": ["yes", "0.33"],
    }
    ratios = [row[1] for row in table(results, "Medians of the ratios") if row[2] == "64"]
    assert sorted(ratios) == sorted(f"trireme / {name}" for name in servers if name != "trireme")


def test_what_was_not_measured_has_no_row() -> None:
    empty = Results("python -m benchmarks", MACHINE, 1, 2.0)
    assert table(empty, "Goals") == ()
    empty.memory = MemoryResult(failure="no such model")
    assert empty.failures == ["memory: no such model"]
    assert tables(empty) == []


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.words[:20])
def test_a_bound_is_met_when_it_is_reached(goal: object) -> None:
    (found,) = [each for each in GOALS if each is goal]
    assert found.met(Spread(found.bound, 0, 9e9))
    off = 0.01 if found.at_most else -0.01
    assert not found.met(Spread(found.bound + off, 0, 9e9))


def test_where_the_time_goes_adds_up_to_p50() -> None:
    row = table(measured(), "Where one request's time goes")[2]
    assert row == ("trivial", "trireme", "0.100", "0.000", "0.200", "0.100", "0.200", "1.400", "2.000")


def test_memory_by_process() -> None:
    assert table(measured(), "PSS") == (
        ("idle", "200", "80", "120"),
        ("after 10,400 requests", "90", "90", ""),
    )
    assert measured().as_dict()["memory"]["readings"]["0"] == {"gateway": 80.0, "inference": 120.0}
