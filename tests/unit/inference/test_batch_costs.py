"""The cost curve: what it learns, how fast, and what it promises."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_inference.batch_costs import CostCurve


def taught(cost: dict[int, float], times: int = 20) -> CostCurve:
    curve = CostCurve()
    for _ in range(times):
        for rows, seconds in cost.items():
            curve.ran(rows, seconds)
    return curve


def test_nothing_seen_costs_nothing() -> None:
    assert CostCurve().seconds(8) == CostCurve().bound(8) == 0


def test_sizes_between_are_interpolated_below_flat_and_above_proportional() -> None:
    curve = taught({4: 0.010, 16: 0.022})
    assert curve.seconds(10) == pytest.approx(0.016, rel=0.02)
    assert curve.seconds(1) == pytest.approx(0.010, rel=0.02)
    assert curve.seconds(32) == pytest.approx(0.044, rel=0.02)


def test_larger_runs_than_any_are_hoped_to_go_on_as_those_that_were_seen() -> None:
    curve = CostCurve({4: 0.010, 16: 0.022})
    assert curve.hoped(32) == pytest.approx(0.038)
    assert [curve.hoped(rows) for rows in (2, 10, 16)] == [curve.seconds(rows) for rows in (2, 10, 16)]
    # One size alone says nothing of a fixed cost.
    assert CostCurve({4: 0.010}).hoped(8) == 0.020
    assert CostCurve().hoped(8) == 0


def test_a_measured_curve_is_where_learning_begins() -> None:
    curve = CostCurve({1: 0.004, 8: 0.008, 32: 0.020})
    assert [curve.seconds(rows) for rows in (1, 8, 20)] == pytest.approx([0.004, 0.008, 0.014])
    curve.ran(8, 0.008)
    assert curve.points == [(1, 0.004), (8, 0.008), (32, 0.020)]


@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_change_of_speed_is_followed_in_a_few_runs_by_every_size(factor: float) -> None:
    curve = taught({1: 0.004, 8: 0.008, 32: 0.020})
    for _ in range(15):
        curve.ran(8, 0.008 * factor)
    assert curve.seconds(8) == pytest.approx(0.008 * factor, rel=0.1)
    # Sizes that were not run have come more than half of the way.
    for rows, before in ((1, 0.004), (32, 0.020)):
        assert abs(curve.seconds(rows) - before * factor) < 0.5 * abs(before - before * factor)


def test_one_outlier_counts_as_twice_the_cost_at_most() -> None:
    curve = taught({8: 0.010})
    curve.ran(8, 5.0)
    assert curve.seconds(8) == pytest.approx(0.012)
    curve.ran(16, 5.0)
    assert curve.seconds(16) < 0.05


def test_the_bound_follows_the_spread_of_the_runs() -> None:
    steady, noisy = taught({8: 0.010}, 60), CostCurve()
    chance = random.Random(1)
    samples = [0.010 * chance.uniform(0.7, 1.3) for _ in range(200)]
    for seconds in samples:
        noisy.ran(8, seconds)
    assert steady.bound(8) == pytest.approx(0.010, rel=0.01)
    assert noisy.bound(8) >= sorted(samples)[198]


@given(
    st.lists(
        st.tuples(st.integers(1, 200), st.floats(1e-6, 10, allow_subnormal=False)), min_size=1, max_size=60
    )
)
def test_more_rows_never_cost_less(samples: list[tuple[int, float]]) -> None:
    curve = CostCurve()
    for rows, seconds in samples:
        curve.ran(rows, seconds)
    costs = [curve.seconds(rows) for rows in range(1, 300)]
    assert all(left <= right * (1 + 1e-9) for left, right in pairwise(costs))
    assert costs[0] > 0
    positions = [rows for rows, _ in curve.points]
    assert positions == sorted(positions)
