"""The adaptive policy on a fake clock: single decisions, and simulated servers under load."""

import math

import pytest

from tests.support.batch_simulation import Cost, Outcome, Simulation, Waiting
from trireme_inference.adaptive_policy import AdaptivePolicy
from trireme_inference.batch_costs import CostCurve
from trireme_inference.batch_policy import BatchPolicy, CloseReason, Policy
from trireme_inference.batch_queue import BatchQueue

OBJECTIVE = 0.02
LOADS = (20, 100, 200, 400, 800)
"""Rows a second; a run of 12 rows takes half of the objective, which is 1,200 rows a second."""


def overhead(rows: int, now: float) -> float:
    """A run costs 4 ms and half a millisecond a row: 4.5 ms alone, 20 ms for 32."""
    return 0.004 + 0.0005 * rows


def caches(rows: int, now: float) -> float:
    """From 8 rows on a row costs nearly twice as much, as where layers outgrow the processor's caches."""
    return 0.002 + 0.001 * rows + 0.0008 * max(0, rows - 8)


def measured(steady: int = 60) -> CostCurve:
    """`overhead` as learnt without any spread."""
    costs = CostCurve({rows: overhead(rows, 0) for rows in (1, 2, 4, 8, 16, 32)})
    for _ in range(steady):
        costs.ran(8, overhead(8, 0))
    return costs


def queue_at_rate(policy: AdaptivePolicy, rate: float) -> tuple[BatchQueue[Waiting], float]:
    """An empty queue to which single rows have come at `rate` for a while, and the time."""
    queue: BatchQueue[Waiting] = BatchQueue(policy)
    now = 0.0
    for _ in range(400):
        now += 1 / rate
        queue.add("k", Waiting(arrived=now))
        queue.take(now, drain=True)
    return queue, now


def test_nobody_waits_where_nobody_is_expected() -> None:
    queue, now = queue_at_rate(AdaptivePolicy(32, OBJECTIVE, costs=measured()), rate=20)
    queue.add("k", Waiting(arrived=now))
    batch = queue.take(now)
    assert batch is not None
    assert batch.reason is CloseReason.IDLE


def test_a_busy_device_waits_for_company_and_keeps_the_time_for_its_run() -> None:
    queue, now = queue_at_rate(AdaptivePolicy(32, OBJECTIVE, costs=measured()), rate=400)
    queue.add("k", Waiting(arrived=now))
    assert queue.take(now) is None
    due = queue.due(now)
    assert due == pytest.approx(now + 0.9 * OBJECTIVE - overhead(1, 0), abs=2e-4)
    queue.add("k", Waiting(arrived=now + 0.005))
    batch = queue.take(due)
    assert batch is not None
    assert (batch.rows, batch.reason) == (2, CloseReason.OBJECTIVE)


def test_enough_rows_wait_for_no_more() -> None:
    queue, now = queue_at_rate(AdaptivePolicy(32, 0.021, costs=measured()), rate=400)
    for _ in range(12):
        assert queue.take(now) is None
        queue.add("k", Waiting(arrived=now))
    batch = queue.take(now)
    assert batch is not None
    assert (batch.rows, batch.reason) == (12, CloseReason.GOAL)


def test_an_impatient_member_closes_the_batch_before_its_own_deadline() -> None:
    queue, now = queue_at_rate(AdaptivePolicy(32, OBJECTIVE, costs=measured()), rate=400)
    queue.add("k", Waiting(arrived=now, deadline=now + 0.010))
    assert queue.due(now) == pytest.approx(now + 0.010 - overhead(1, 0) - 0.001, abs=2e-4)
    batch = queue.take(now + 0.005)
    assert batch is not None
    assert batch.reason is CloseReason.DEADLINE


def test_groups_that_wait_beside_each_other_keep_the_time_for_all_runs() -> None:
    queue, now = queue_at_rate(AdaptivePolicy(32, OBJECTIVE, costs=measured()), rate=400)
    for key in "ab":
        queue.add(key, Waiting(arrived=now))
    assert queue.due(now) == pytest.approx(now + 0.9 * OBJECTIVE - 2 * overhead(1, 0), abs=3e-4)


def test_an_objective_below_the_cost_of_one_row_never_waits() -> None:
    queue, now = queue_at_rate(AdaptivePolicy(32, 0.004, costs=measured()), rate=400)
    queue.add("k", Waiting(arrived=now))
    assert queue.take(now) is not None


def test_a_request_of_more_rows_than_a_batch_should_have_still_runs() -> None:
    queue: BatchQueue[Waiting] = BatchQueue(AdaptivePolicy(32, OBJECTIVE))
    queue.add("k", Waiting(rows=20))
    batch = queue.take(0.0)
    assert batch is not None
    assert batch.rows == 20


def test_batches_that_miss_the_objective_because_they_waited_wait_less() -> None:
    policy = AdaptivePolicy(32, OBJECTIVE, costs=measured())
    before = policy.planned_seconds
    policy.answered(1.1 * OBJECTIVE, CloseReason.IDLE)
    assert policy.planned_seconds == before
    policy.answered(1.1 * OBJECTIVE, CloseReason.OBJECTIVE)
    tightened = policy.planned_seconds
    assert tightened < before
    policy.answered(0.9 * OBJECTIVE, CloseReason.OBJECTIVE)
    assert tightened < policy.planned_seconds < before


def simulated(
    policy: Policy, rate: float, *, seconds: float = 6.0, cost: Cost = overhead, **options: int
) -> Outcome:
    return Simulation(policy, cost, **options).run(rate, seconds)


def test_the_objective_holds_below_capacity_and_batches_grow_with_the_load() -> None:
    outcomes = [simulated(AdaptivePolicy(32, OBJECTIVE), rate) for rate in LOADS]
    assert [outcome.p99(since=1.0) <= OBJECTIVE for outcome in outcomes] == [True] * len(LOADS)
    sizes = [outcome.mean_rows(since=1.0) for outcome in outcomes]
    assert sizes == sorted(sizes)
    assert sizes[0] < 1.1
    assert sizes[-1] > 5


def test_device_time_is_saved_that_no_fixed_delay_saves_within_the_objective() -> None:
    """Over all loads together: every fixed delay either misses the objective at one of them, or keeps
    the device busy for at least a tenth longer."""
    adaptive = [simulated(AdaptivePolicy(32, OBJECTIVE), rate) for rate in LOADS]
    spent = sum(outcome.busy for outcome in adaptive)
    assert max(outcome.p99(since=1.0) for outcome in adaptive) <= OBJECTIVE
    for delay in (0.0, 0.002, 0.005, 0.010, 0.015):
        fixed = [simulated(BatchPolicy(32, (), delay), rate) for rate in LOADS]
        missed = max(outcome.p99(since=1.0) for outcome in fixed) > OBJECTIVE
        assert missed or sum(outcome.busy for outcome in fixed) > 1.1 * spent, delay


def test_batches_do_not_outgrow_the_size_at_which_rows_are_cheapest() -> None:
    """At 650 rows a second, four fifths of what batches of 8 do, the maximum of 64 runs away from the
    fixed policy: larger batches are slower a row, the queue grows, and batches with it."""
    objective = 0.05
    adaptive = simulated(AdaptivePolicy(64, objective), 650, cost=caches)
    assert adaptive.p99(since=1.0) <= objective
    assert simulated(BatchPolicy(64), 650, cost=caches).p99(since=1.0) > 2 * objective


def test_the_objective_holds_again_soon_after_the_model_became_three_times_slower() -> None:
    objective, change = 0.06, 3.0

    def cost(rows: int, now: float) -> float:
        return overhead(rows, now) * (3 if now >= change else 1)

    policy = AdaptivePolicy(32, objective)
    outcome = simulated(policy, 200, cost=cost, seconds=8.0)
    assert outcome.p99(since=1.0, until=change - objective) <= objective
    assert outcome.p99(since=change + 0.5) <= objective
    assert policy.costs.seconds(8) == pytest.approx(3 * overhead(8, 0), rel=0.15)


def test_a_queue_that_has_grown_in_an_overload_is_worked_off_at_the_best_rate() -> None:
    """1,600 rows a second are what 32 a run do; no smaller size would."""
    policy = AdaptivePolicy(32, OBJECTIVE)
    outcome = simulated(policy, 1700, seconds=4.0)
    assert outcome.mean_rows(since=2.0) > 30


@pytest.mark.parametrize(("instances", "keys"), [(2, 1), (1, 4), (2, 8)])
def test_the_objective_holds_with_several_instances_and_shapes(instances: int, keys: int) -> None:
    objective = 0.04
    for rate in (50, 300):
        policy = AdaptivePolicy(32, objective, instances=instances)
        outcome = simulated(policy, rate, seconds=4.0, instances=instances, keys=keys)
        assert outcome.p99(since=1.0) <= objective


def test_the_same_requests_make_the_same_decisions() -> None:
    runs = [simulated(AdaptivePolicy(32, OBJECTIVE), 300, seconds=1.0).batches for _ in range(2)]
    assert runs[0] == runs[1]
    assert all(math.isfinite(begun) for begun, _, _ in runs[0])
