"""What an instance takes that comes free beside others: single shares, and simulated servers."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.batch_simulation import Cost, Outcome, Simulation, Waiting
from trireme_inference.adaptive_policy import AdaptivePolicy
from trireme_inference.batch_costs import CostCurve
from trireme_inference.batch_policy import BatchPolicy, CloseReason
from trireme_inference.batch_queue import BatchQueue
from trireme_inference.sharing import share_of

FLAT = {1: 0.011, 2: 0.021, 4: 0.041, 8: 0.083}
"""A convolutional network on a CPU: rows cost the same alone."""
CHEAP_TOGETHER = {1: 0.0031, 2: 0.0032, 4: 0.0034, 8: 0.0038}
"""A device that takes eight rows in little more time than one."""


def cost_of(curve: Mapping[int, float]) -> Cost:
    costs = CostCurve(curve)
    return lambda rows, now: costs.seconds(rows)


@pytest.mark.parametrize(
    ("rows", "instances", "share"),
    [(1, 2, 8), (2, 2, 1), (5, 2, 3), (6, 3, 2), (15, 2, 8), (40, 2, 8), (6, 1, 8)],
)
def test_rows_that_cost_the_same_alone_are_shared(rows: int, instances: int, share: int) -> None:
    assert share_of(rows, 8, instances, CostCurve(FLAT)) == share


def test_rows_that_are_cheap_together_stay_together() -> None:
    assert {share_of(rows, 8, 4, CostCurve(CHEAP_TOGETHER)) for rows in range(1, 20)} == {8}


def test_the_most_shares_are_made_that_cost_little() -> None:
    # Four shares of one row cost half as much again, two of two rows hardly more.
    assert share_of(4, 8, 4, CostCurve({1: 0.030, 2: 0.041, 4: 0.080})) == 2


def test_nothing_is_shared_before_a_cost_is_known() -> None:
    assert share_of(6, 8, 2, CostCurve()) == 8


curves = st.dictionaries(st.integers(1, 32), st.floats(1e-4, 1.0), min_size=1, max_size=6)


@given(curves, st.integers(1, 100), st.integers(1, 32), st.integers(1, 8))
def test_a_share_wastes_a_twentieth_at_most(
    curve: dict[int, float], rows: int, most: int, instances: int
) -> None:
    costs = CostCurve(curve)
    share, whole = share_of(rows, most, instances, costs), min(rows, most)
    assert 1 <= share <= most
    taken = min(share, whole)
    assert costs.seconds(taken) / taken <= 1.05 * costs.seconds(whole) / whole * (1 + 1e-9)


def queue_of(policy: BatchPolicy | AdaptivePolicy, rows: int) -> BatchQueue[Waiting]:
    queue: BatchQueue[Waiting] = BatchQueue(policy)
    for number in range(rows):
        queue.add("k", Waiting(number=number))
    return queue


def test_an_instance_that_comes_free_leaves_the_others_their_share() -> None:
    queue = queue_of(BatchPolicy(8, costs=CostCurve(FLAT), instances=2), 6)
    batches = [batch for batch in iter(lambda: queue.take(0.0), None) if batch]
    assert [(batch.rows, batch.reason) for batch in batches] == [(3, CloseReason.IDLE)] + [
        (rows, CloseReason.IDLE) for rows in (2, 1)
    ]
    assert [request.number for batch in batches for request in batch.requests] == list(range(6))


def test_whoever_names_sizes_or_a_delay_gets_them() -> None:
    sizes = BatchPolicy(8, (4,), costs=CostCurve(FLAT), instances=2)
    delay = BatchPolicy(8, max_delay_seconds=1.0, costs=CostCurve(FLAT), instances=2)
    first, waited = queue_of(sizes, 6).take(0.0), queue_of(delay, 6).take(1.0)
    assert first is not None
    assert waited is not None
    assert (first.rows, waited.rows, waited.reason) == (4, 6, CloseReason.DELAY)


def test_a_share_under_an_objective_has_enough_rows() -> None:
    # Two rows are the smallest run whose rate is good; six of them are shared by two instances.
    measured = {1: 0.0035, 2: 0.004, 4: 0.008, 8: 0.016}
    queue = queue_of(AdaptivePolicy(8, 0.1, instances=2, measured=measured), 6)
    batches = [batch.rows for batch in iter(lambda: queue.take(0.0), None) if batch]
    assert batches == [3, 2, 1]


def simulated(curve: Mapping[int, float], share: float, *, aware: bool, seconds: float) -> Outcome:
    """Two instances at `share` of what they do at most. Not `aware`: a policy that knows of one alone."""
    policy = BatchPolicy(8, costs=CostCurve(curve), instances=2 if aware else 1)
    rate = share * max(2 * rows / cost for rows, cost in curve.items())
    return Simulation(policy, cost_of(curve), instances=2).run(rate, seconds)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_the_slowest_are_answered_much_sooner_where_rows_cost_the_same_alone(share: float) -> None:
    whole, shared = (simulated(FLAT, share, aware=aware, seconds=150.0) for aware in (False, True))
    assert shared.p99(since=1.0) < 0.85 * whole.p99(since=1.0)
    assert shared.seconds_per_row < 1.05 * whole.seconds_per_row


def test_rows_that_are_cheap_together_are_answered_as_before() -> None:
    whole, shared = (simulated(CHEAP_TOGETHER, 0.8, aware=aware, seconds=10.0) for aware in (False, True))
    assert shared.p99(since=1.0) < 1.05 * whole.p99(since=1.0)
    assert shared.seconds_per_row < 1.01 * whole.seconds_per_row
