"""The fixed policy and the queue behind it, on a fake clock: decisions, and simulations of whole streams."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.batch_simulation import Waiting
from trireme_inference.batch_costs import CostCurve
from trireme_inference.batch_policy import BatchPolicy, CloseReason
from trireme_inference.batch_queue import Batch, BatchQueue


def queue_of(policy: BatchPolicy, *requests: Waiting, key: str = "k") -> BatchQueue[Waiting]:
    queue: BatchQueue[Waiting] = BatchQueue(policy)
    for request in requests:
        queue.add(key, request)
    return queue


def taken(batch: Batch[Waiting] | None) -> tuple[int, CloseReason]:
    assert batch is not None
    assert batch.rows == sum(request.rows for request in batch.requests)
    return batch.rows, batch.reason


def test_without_a_delay_whoever_waits_goes_at_once() -> None:
    queue = queue_of(BatchPolicy(8), Waiting(), Waiting())
    assert taken(queue.take(0.0)) == (2, CloseReason.IDLE)
    assert queue.take(0.0) is None


def test_a_full_batch_does_not_wait_for_its_delay() -> None:
    queue = queue_of(BatchPolicy(2, max_delay_seconds=1.0), Waiting(), Waiting(), Waiting())
    assert taken(queue.take(0.0)) == (2, CloseReason.FULL)
    assert queue.take(0.0) is None


def test_a_batch_is_full_where_the_next_request_does_not_fit() -> None:
    queue = queue_of(BatchPolicy(4, max_delay_seconds=1.0), Waiting(3), Waiting(2))
    assert taken(queue.take(0.0)) == (3, CloseReason.FULL)


def test_the_oldest_member_waits_the_delay_and_no_longer() -> None:
    queue = queue_of(BatchPolicy(8, max_delay_seconds=0.5), Waiting(arrived=1.0), Waiting(arrived=1.4))
    assert queue.take(1.49) is None
    assert queue.due(1.49) == 1.5
    assert taken(queue.take(1.5)) == (2, CloseReason.DELAY)


def test_a_preferred_size_is_taken_exactly_and_the_rest_waits() -> None:
    policy = BatchPolicy(16, (2, 4), max_delay_seconds=1.0)
    queue = queue_of(policy, *(Waiting() for _ in range(5)))
    assert taken(queue.take(0.0)) == (4, CloseReason.PREFERRED)
    assert queue.take(0.0) is None
    assert taken(queue.take(1.0)) == (1, CloseReason.DELAY)


@pytest.mark.parametrize(
    ("delay", "waiting", "sizes"), [(0.0, 9, [4, 4, 1]), (0.1, 9, [4, 4]), (0.1, 3, []), (0.0, 5, [4, 1])]
)
def test_a_preferred_size_comes_before_a_full_batch_as_in_triton(
    delay: float, waiting: int, sizes: list[int]
) -> None:
    queue = queue_of(BatchPolicy(8, (4,), delay), *(Waiting() for _ in range(waiting)))
    assert [batch.rows for batch in iter(lambda: queue.take(0.05), None) if batch] == sizes


def test_who_has_waited_the_delay_takes_along_all_that_fit_as_in_triton() -> None:
    queue = queue_of(BatchPolicy(8, (4,), 0.1), *(Waiting() for _ in range(5)))
    assert taken(queue.take(0.2)) == (5, CloseReason.DELAY)


def test_the_member_whose_deadline_closed_the_batch_is_not_left_behind() -> None:
    urgent = Waiting(deadline=0.08)
    queue = queue_of(BatchPolicy(8, (4,), 0.1), *(Waiting() for _ in range(4)), urgent)
    batch = queue.take(0.0795)
    assert taken(batch) == (5, CloseReason.DEADLINE)


def test_the_most_urgent_member_closes_the_batch_while_a_run_still_fits() -> None:
    costs = CostCurve()
    for _ in range(100):
        costs.ran(1, 0.02)
        costs.ran(2, 0.1)
    policy = BatchPolicy(8, max_delay_seconds=1.0, costs=costs)
    queue = queue_of(policy, Waiting(), Waiting(deadline=0.3))
    assert queue.take(0.1) is None
    assert queue.due(0.1) == pytest.approx(0.199, rel=5e-3)
    assert taken(queue.take(0.2)) == (2, CloseReason.DEADLINE)
    # One row is cheaper, and may wait longer.
    assert queue_of(policy, Waiting(deadline=0.3)).due(0.1) == pytest.approx(0.279, rel=5e-3)


def test_the_cost_of_a_run_is_learnt_where_there_is_a_delay_to_end() -> None:
    waits, never_waits = BatchPolicy(8, max_delay_seconds=1.0), BatchPolicy(8)
    for policy in (waits, never_waits):
        policy.ran("k", 4, 0.1)
    assert (waits.costs.seconds(4), never_waits.costs.seconds(4)) == (0.1, 0)


def test_draining_waits_for_nothing() -> None:
    queue = queue_of(BatchPolicy(8, max_delay_seconds=60.0), Waiting())
    assert taken(queue.take(0.0, drain=True)) == (1, CloseReason.DRAIN)


def test_requests_of_different_keys_never_share_a_batch_and_the_oldest_goes_first() -> None:
    queue: BatchQueue[Waiting] = BatchQueue(BatchPolicy(8))
    queue.add("long", Waiting(arrived=1.0, number=1))
    queue.add("short", Waiting(arrived=0.0, number=2))
    queue.add("long", Waiting(arrived=2.0, number=3))
    order = [
        [request.number for request in batch.requests]
        for batch in iter(lambda: queue.take(3.0), None)
        if batch
    ]
    assert order == [[2], [1, 3]]


def test_who_has_gone_is_passed_over_and_handed_out() -> None:
    left, expired, alive = Waiting(left=0.5), Waiting(deadline=0.5), Waiting()
    queue = queue_of(BatchPolicy(2), left, alive, expired)
    assert taken(queue.take(1.0)) == (1, CloseReason.IDLE)
    assert queue.take(1.0) is None
    assert set(queue.take_gone()) == {left, expired}
    assert queue.due(1.0) == math.inf


def test_sweeping_finds_the_gone_behind_the_living() -> None:
    gone = Waiting(left=0.5)
    queue = queue_of(BatchPolicy(8, max_delay_seconds=9.0), Waiting(), gone)
    queue.sweep(1.0)
    assert queue.take_gone() == [gone]
    assert taken(queue.take(9.0)) == (1, CloseReason.DELAY)


arrivals = st.lists(
    st.tuples(
        st.floats(0, 0.2),  # after the one before
        st.integers(1, 8),  # rows
        st.sampled_from("ab"),  # key
        st.floats(0.001, 2.0),  # patience
        st.one_of(st.none(), st.floats(0, 1.0)),  # leaves after
    ),
    max_size=60,
)
policies = st.builds(
    BatchPolicy,
    st.integers(8, 16),
    st.sampled_from([(), (4,), (2, 8)]),
    st.sampled_from([0.0, 0.05, 0.5]),
    st.builds(CostCurve),
)


@settings(deadline=None)
@given(policies, arrivals, st.floats(0.001, 0.3))
def test_a_simulated_stream_loses_nothing_mixes_nothing_and_waits_no_longer_than_allowed(
    policy: BatchPolicy, stream: list[tuple[float, int, str, float, float | None]], run_seconds: float
) -> None:
    queue: BatchQueue[Waiting] = BatchQueue(policy)
    keys: dict[Waiting, str] = {}
    pending: list[Waiting] = []
    clock = 0.0
    for number, (gap, rows, key, patience, leaves) in enumerate(stream):
        clock += gap
        request = Waiting(
            rows, clock, clock + patience, math.inf if leaves is None else clock + leaves, number
        )
        pending.append(request)
        keys[request] = key
    run: list[Waiting] = []
    gone: list[Waiting] = []
    now = free_at = 0.0
    while len(run) + len(gone) < len(stream):
        while pending and pending[0].arrived <= now:
            request = pending.pop(0)
            queue.add(keys[request], request)
        if now >= free_at:
            batch = queue.take(now)
            gone += queue.take_gone()
            if batch is not None:
                assert batch.requests
                assert batch.rows <= policy.max_rows
                assert len({keys[request] for request in batch.requests}) == 1
                assert not any(request.gone(now) for request in batch.requests)
                if batch.reason is CloseReason.PREFERRED:
                    assert batch.rows in policy.preferred_rows
                policy.ran(batch.key, batch.rows, run_seconds)
                queue.finished(batch, now)
                run += batch.requests
                free_at = now + run_seconds
        following = [pending[0].arrived] if pending else []
        following.append(free_at if now < free_at else queue.due(now))
        later = [moment for moment in following if moment > now]
        if not later and len(run) + len(gone) < len(stream):
            # Nothing is due: only a member whose group is ripe at this very moment may be left.
            continue
        now = min(later, default=now)
    assert queue.present == 0
    assert sorted(request.number for request in run + gone) == list(range(len(stream)))
    for key in "ab":
        order = [request.number for request in run if keys[request] == key]
        assert order == sorted(order)
