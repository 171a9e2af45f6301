"""The adaptive policy on a fake clock: single decisions, and simulated servers under load."""

import math

import pytest

from tests.support.batch_simulation import Cost, Outcome, Simulation, Waiting
from trireme_inference.adaptive_policy import AdaptivePolicy
from trireme_inference.batch_policy import BatchPolicy, CloseReason, Policy
from trireme_inference.batch_queue import Batch, BatchQueue

OBJECTIVE = 0.02
LOADS = (20, 100, 200, 400, 800)
"""Rows a second; a run of 12 rows takes half of the objective, which is 1,200 rows a second."""


def overhead(rows: int, now: float) -> float:
    """A run costs 4 ms and half a millisecond a row: 4.5 ms alone, 20 ms for 32."""
    return 0.004 + 0.0005 * rows


def caches(rows: int, now: float) -> float:
    """From 8 rows on a row costs nearly twice as much, as where layers outgrow the processor's caches."""
    return 0.002 + 0.001 * rows + 0.0008 * max(0, rows - 8)


def proportional(rows: int, now: float) -> float:
    """A row costs the same alone, as in a convolutional network on a CPU."""
    return 0.005 * rows


CURVE = {rows: overhead(rows, 0) for rows in (1, 2, 4, 8, 16, 32)}


def measured(objective: float = OBJECTIVE, keys: str = "k") -> AdaptivePolicy:
    """Knows `overhead`, without any spread, and rows of each key in equal parts."""
    policy = AdaptivePolicy(32, objective, measured=CURVE)
    for _ in range(60):
        for key in keys:
            policy.ran(key, 8, overhead(8, 0))
    return policy


def queue_at_rate(policy: AdaptivePolicy, rate: float) -> tuple[BatchQueue[Waiting], float]:
    """An empty queue to which single rows have come at `rate` for a while, as often while none, one, or up
    to 12 others were there, and the time."""
    queue: BatchQueue[Waiting] = BatchQueue(policy)
    now = 0.0
    for _ in range(60):
        running: list[Batch[Waiting]] = []
        for _ in range(13):
            now += 1 / rate
            queue.add("k", Waiting(arrived=now))
            batch = queue.take(now, drain=True)
            assert batch is not None
            running.append(batch)
        for batch in running:
            queue.finished(batch, now)
    return queue, now


def test_nobody_waits_where_nobody_is_expected() -> None:
    queue, now = queue_at_rate(measured(), rate=20)
    queue.add("k", Waiting(arrived=now))
    batch = queue.take(now)
    assert batch is not None
    assert batch.reason is CloseReason.IDLE


def test_a_busy_device_waits_for_company_and_keeps_the_time_for_its_run() -> None:
    queue, now = queue_at_rate(measured(), rate=400)
    queue.add("k", Waiting(arrived=now))
    assert queue.take(now) is None
    due = queue.due(now)
    assert due == pytest.approx(now + 0.9 * OBJECTIVE - overhead(1, 0), abs=2e-4)
    queue.add("k", Waiting(arrived=now + 0.005))
    batch = queue.take(due)
    assert batch is not None
    assert (batch.rows, batch.reason) == (2, CloseReason.OBJECTIVE)


def test_enough_rows_wait_for_no_more() -> None:
    queue, now = queue_at_rate(measured(0.021), rate=1600)
    for _ in range(6):
        assert queue.take(now) is None
        for _ in range(2):
            queue.add("k", Waiting(arrived=now))
    batch = queue.take(now)
    assert batch is not None
    assert (batch.rows, batch.reason) == (12, CloseReason.GOAL)


def test_rows_that_would_hardly_be_cheaper_for_the_company_that_is_expected_do_not_wait() -> None:
    """8 rows cost 1 ms each; beside the few more that come in time, hardly less."""
    queue, now = queue_at_rate(measured(0.021), rate=400)
    for _ in range(8):
        queue.add("k", Waiting(arrived=now))
    batch = queue.take(now)
    assert batch is not None
    assert (batch.rows, batch.reason) == (8, CloseReason.IDLE)


def test_an_impatient_member_closes_the_batch_before_its_own_deadline() -> None:
    queue, now = queue_at_rate(measured(), rate=400)
    queue.add("k", Waiting(arrived=now, deadline=now + 0.010))
    assert queue.due(now) == pytest.approx(now + 0.010 - overhead(1, 0) - 0.001, abs=2e-4)
    batch = queue.take(now + 0.005)
    assert batch is not None
    assert batch.reason is CloseReason.DEADLINE


def test_groups_that_wait_beside_each_other_keep_the_time_for_all_runs() -> None:
    queue, now = queue_at_rate(measured(keys="ab"), rate=400)
    for key in "ab":
        queue.add(key, Waiting(arrived=now))
    assert queue.due(now) == pytest.approx(now + 0.9 * OBJECTIVE - 2 * overhead(1, 0), abs=3e-4)


def test_an_objective_below_the_cost_of_one_row_never_waits() -> None:
    queue, now = queue_at_rate(measured(0.004), rate=400)
    queue.add("k", Waiting(arrived=now))
    assert queue.take(now) is not None


def test_nobody_waits_where_a_row_costs_the_same_alone() -> None:
    costs = {1: 0.0052, 2: 0.0100, 4: 0.0196, 8: 0.0388}
    queue, now = queue_at_rate(AdaptivePolicy(32, 0.1, measured=costs), rate=150)
    queue.add("k", Waiting(arrived=now))
    batch = queue.take(now)
    assert batch is not None
    assert batch.reason is CloseReason.IDLE


def test_nobody_waits_for_company_of_another_kind() -> None:
    policy = measured(keys="k")
    queue, now = queue_at_rate(policy, rate=400)
    policy.ran("other", 1, overhead(1, 0))
    queue.add("other", Waiting(arrived=now))
    batch = queue.take(now)
    assert batch is not None
    assert batch.reason is CloseReason.IDLE


def test_every_kind_has_costs_of_its_own_and_those_that_ran_long_ago_are_forgotten() -> None:
    policy = AdaptivePolicy(32, OBJECTIVE, measured={1: 0.002})
    for key in range(100):
        policy.ran(key, 1, 0.001 * (1 + key % 2))
    assert [policy.costs_of(key).seconds(1) for key in (99, 98)] == pytest.approx([0.002, 0.0018])
    assert policy.costs_of(0).seconds(1) == policy.costs_of("never seen").seconds(1) == 0.002


def test_a_request_of_more_rows_than_a_batch_should_have_still_runs() -> None:
    queue: BatchQueue[Waiting] = BatchQueue(AdaptivePolicy(32, OBJECTIVE))
    queue.add("k", Waiting(rows=20))
    batch = queue.take(0.0)
    assert batch is not None
    assert batch.rows == 20


def test_batches_that_miss_the_objective_because_they_waited_wait_less() -> None:
    policy = measured()
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
    assert policy.costs_of(0).seconds(8) == pytest.approx(3 * overhead(8, 0), rel=0.15)


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


def asked(policy: Policy, callers: int, *, cost: Cost = overhead, pause: float = 0.001) -> int:
    """Requests that callers get answered in a second who wait for one answer before they ask again."""
    outcome = Simulation(policy, cost).run_callers(callers, 3.0, pause=pause)
    return sum(arrived >= 2.0 for arrived, _ in outcome.answered)


@pytest.mark.parametrize("objective", [0.05, 0.1, 0.5])
def test_a_lone_caller_who_waits_for_every_answer_never_waits_for_company(objective: float) -> None:
    assert asked(AdaptivePolicy(32, objective), 1) >= 0.99 * asked(BatchPolicy(32), 1)


@pytest.mark.parametrize("callers", [2, 4, 16])
def test_callers_who_wait_for_every_answer_are_waited_for_while_they_are_on_their_way(callers: int) -> None:
    """Natural batches leave half of them waiting behind the other half's run."""
    for objective in (0.05, 0.5):
        adaptive = AdaptivePolicy(32, objective, measured=CURVE)
        assert asked(adaptive, callers) > 1.2 * asked(BatchPolicy(32), callers)


@pytest.mark.parametrize("callers", [1, 2, 4])
def test_callers_gain_nothing_by_waiting_where_a_row_costs_the_same_alone(callers: int) -> None:
    natural = asked(BatchPolicy(32), callers, cost=proportional)
    assert asked(AdaptivePolicy(32, 0.1), callers, cost=proportional) >= 0.99 * natural


def test_a_visitor_now_and_then_does_not_make_a_lone_caller_wait() -> None:
    def outcome(policy: Policy) -> Outcome:
        return Simulation(policy, overhead).run_callers(1, 5.0, pause=0.001, visits=2.0)

    adaptive, natural = outcome(AdaptivePolicy(32, 0.5)), outcome(BatchPolicy(32))
    assert len(adaptive.answered) >= 0.97 * len(natural.answered)


@pytest.mark.parametrize("rate", [60, 140])
def test_rows_that_cost_the_same_alone_are_answered_as_soon_as_without_an_objective(rate: float) -> None:
    for objective in (0.05, 0.1, 0.5):
        adaptive = simulated(AdaptivePolicy(32, objective), rate, seconds=15.0, cost=proportional)
        natural = simulated(BatchPolicy(32), rate, seconds=15.0, cost=proportional)
        assert adaptive.mean(since=1.0) < 1.05 * natural.mean(since=1.0)
        assert adaptive.p99(since=1.0) < 1.05 * natural.p99(since=1.0)


@pytest.mark.parametrize("slower", [10, 20])
def test_the_objective_holds_where_one_shape_takes_many_times_as_long_as_another(slower: int) -> None:
    def short(rows: int, now: float) -> float:
        return 0.001 + 0.0005 * rows

    def long(rows: int, now: float) -> float:
        return 0.0005 * slower * (1 + rows)

    objective = 0.1
    rate = 0.6 / (0.5 * short(1, 0) + 0.5 * long(1, 0))
    policy = AdaptivePolicy(32, objective)
    outcome = Simulation(policy, (short, long)).run(rate, 20.0)
    assert outcome.p99() <= objective
    for key, cost in enumerate((short, long)):
        assert policy.costs_of(key).seconds(1) == pytest.approx(cost(1, 0), rel=0.15)
