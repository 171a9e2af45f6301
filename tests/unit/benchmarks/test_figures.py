from __future__ import annotations

import pytest

from benchmarks.figures import Sample, Spread, difference, percentile, ratio
from benchmarks.results import ServerResult, WorkloadResult


def sample(requests: int, *, seconds: float = 2.0, cpu: dict[str, float] | None = None) -> Sample:
    return Sample(requests, seconds, 1.0, 2.0, cpu or {"server": 0.5}, 0.25)


def test_ratio_is_the_median_of_the_rounds_ratios_not_the_ratio_of_medians() -> None:
    ours, theirs = [10.0, 300.0, 40.0], [10.0, 100.0, 20.0]
    found = ratio(ours, theirs)
    assert found == Spread(2.0, 1.0, 3.0)
    assert found.median == 40 / 20  # round by round; the medians, 40 and 20, agree here by their rounds
    assert ratio([1.0, 9.0, 10.0], [10.0, 1.0, 9.0]).median == pytest.approx(10 / 9)  # of medians: 1.0


def test_ratio_of_an_even_number_of_rounds_lies_between_the_middle_two() -> None:
    assert ratio([1.0, 2.0], [1.0, 1.0]) == Spread(1.5, 1.0, 2.0)


def test_difference_is_the_median_of_the_rounds_differences() -> None:
    assert difference([3.0, 9.0, 5.0], [1.0, 8.0, 5.0]) == Spread(1.0, 0.0, 2.0)


def test_ratio_wants_as_many_rounds_on_both_sides() -> None:
    with pytest.raises(ValueError, match="argument"):
        ratio([1.0, 2.0], [1.0])


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        Spread.of([])


@pytest.mark.parametrize(
    ("number", "share", "expected"),
    [
        (1, 0.5, 1),
        (1, 0.99, 1),
        (2, 0.5, 1),
        (100, 0.5, 50),
        (100, 0.99, 99),
        (101, 0.99, 100),
        (100, 0.0, 1),
    ],
)
def test_percentile_is_the_nearest_rank(number: int, share: float, expected: int) -> None:
    assert percentile(range(1, number + 1), share) == expected


def test_sample_divides_by_its_own_window_and_requests() -> None:
    taken = sample(1000, cpu={"gateway": 0.3, "inference": 0.1})
    assert taken.requests_per_second == 500
    assert taken.cpu_us == pytest.approx(400)
    assert taken.program_cpu_us("gateway") == pytest.approx(300)
    assert taken.generator_load == 0.125


def test_server_result_gathers_rounds_by_connections() -> None:
    server = ServerResult()
    for requests in (100, 300, 200):
        server.add(64, sample(requests))
    server.add(1, sample(10))
    assert server.spread(64, "requests_per_second") == Spread(100, 50, 150)
    assert server.spread(1, "requests_per_second").median == 5
    assert server.programs(64)["server"] == Spread(2500, 0.5 / 300 * 1e6, 5000)


def test_a_failed_case_keeps_no_figures() -> None:
    server = ServerResult()
    server.add(64, sample(100))
    server.fail("a wrong answer")
    assert not server.samples
    workload = WorkloadResult("w", "", {"ours": server, "theirs": ServerResult(samples={64: [sample(9)]})})
    assert workload.ratio("ours", "theirs", 64, "requests_per_second") is None
    assert workload.ratio("ours", "absent", 64, "requests_per_second") is None
    assert workload.difference("ours", "theirs", 64, "p50_ms") is None
