"""Priority levels in the queue; what policies decide of it stands in test_batch_policy.py."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.batch_simulation import Waiting
from trireme_inference.batch_policy import BatchPolicy, CloseReason
from trireme_inference.batch_queue import Batch, BatchQueue


def queue_of(policy: BatchPolicy, levels: int, *members: tuple[int, float]) -> BatchQueue[Waiting]:
    """Members of one key: (level, arrival), numbered from 0."""
    queue: BatchQueue[Waiting] = BatchQueue(policy, levels)
    for number, (level, arrived) in enumerate(members):
        queue.add("k", Waiting(arrived=arrived, number=number), level)
    return queue


def batches(queue: BatchQueue[Waiting], now: float = 1e6) -> Iterator[Batch[Waiting]]:
    while (batch := queue.take(now)) is not None:
        yield batch


def numbers(batch: Batch[Waiting] | None) -> list[int]:
    assert batch is not None
    return [request.number for request in batch.requests]


class Fleeting(Waiting):
    """Leaves right after it was first looked at, as a request does that another thread answers."""

    looked = False

    def gone(self, now: float) -> bool:
        was, self.looked = self.looked, True
        return was


@pytest.mark.parametrize("levels", [1, 2])
def test_a_group_whose_members_leave_while_it_is_closed_gives_way_to_the_next(levels: int) -> None:
    queue: BatchQueue[Waiting] = BatchQueue(BatchPolicy(4), levels)
    queue.add("old", Fleeting(number=0))
    queue.add("new", Waiting(arrived=1.0, number=1))
    assert numbers(queue.take(2.0)) == [1]
    assert [request.number for request in queue.take_gone()] == [0]
    assert queue.take(2.0) is None


def test_the_more_important_leave_first_and_share_their_batch_with_the_others() -> None:
    queue = queue_of(BatchPolicy(3), 3, (2, 0.0), (1, 0.1), (2, 0.2), (0, 0.3), (1, 0.4))
    first, second = batches(queue, 0.5)
    assert (numbers(first), numbers(second)) == ([3, 1, 4], [0, 2])
    assert (first.oldest, second.oldest) == (0.1, 0.0)


def test_of_two_groups_the_one_with_the_more_important_head_goes_first() -> None:
    queue: BatchQueue[Waiting] = BatchQueue(BatchPolicy(8), 2)
    queue.add("old", Waiting(number=0), 1)
    queue.add("new", Waiting(arrived=1.0, number=1), 0)
    queue.add("old", Waiting(arrived=2.0, number=2), 1)
    assert [numbers(batch) for batch in batches(queue, 3.0)] == [[1], [0, 2]]


def test_a_flood_of_important_requests_slows_the_others_but_does_not_stop_them() -> None:
    queue: BatchQueue[Waiting] = BatchQueue(BatchPolicy(2), 2)
    queue.add("k", Waiting(arrived=-1.0, number=-1), 1)
    for number in range(40):
        queue.add("k", Waiting(arrived=float(number), number=number), 0)
    taken = [numbers(batch) for batch in batches(queue)]
    assert [-1 in members for members in taken[:16]] == [False] * 15 + [True]
    assert taken[15] == [-1, 30]


def test_members_beyond_a_preferred_size_go_back_to_their_lanes() -> None:
    queue = queue_of(BatchPolicy(8, (2,), 1.0), 2, (1, 0.0), (1, 0.1), (0, 0.2))
    batch = queue.take(0.3)
    assert (numbers(batch), batch.reason if batch else None) == ([2, 0], CloseReason.PREFERRED)
    assert queue.take(0.3) is None
    assert numbers(queue.take(1.2)) == [1]


def test_the_oldest_waits_no_longer_than_the_delay_whatever_its_level() -> None:
    queue = queue_of(BatchPolicy(8, (), 1.0), 2, (1, 0.0), (0, 0.5))
    assert queue.take(0.99) is None
    assert queue.due(0.99) == 1.0
    assert numbers(queue.take(1.0)) == [1, 0]


def test_who_makes_room_is_the_youngest_of_the_least_important() -> None:
    queue = queue_of(BatchPolicy(8), 3, (2, 0.0), (2, 0.1), (1, 0.2), (0, 0.3))
    queue.add("other", Waiting(arrived=0.05, number=9), 2)
    assert [queue.evictable(level) for level in range(3)] == [4, 3, 0]
    evicted = [queue.evict(1) for _ in range(4)]
    assert [request and request.number for request in evicted] == [1, 9, 0, None]
    assert queue.evict(2) is None
    left = queue.take(1.0)
    assert numbers(left) == [3, 2]
    assert left is not None
    assert left.rows == 2


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 4), st.sampled_from("ab"), st.booleans()), max_size=60
    ),
    st.sampled_from([(), (2,), (3, 4)]),
)
def test_nothing_is_lost_and_order_is_kept_in_every_lane(
    stream: list[tuple[int, int, str, bool]], preferred: tuple[int, ...]
) -> None:
    queue: BatchQueue[Waiting] = BatchQueue(BatchPolicy(8, preferred), 4)
    lanes: dict[int, tuple[str, int]] = {}
    taken: list[int] = []
    for number, (level, rows, key, take) in enumerate(stream):
        queue.add(key, Waiting(rows, float(number), number=number), level)
        lanes[number] = (key, level)
        if take:
            taken += numbers(queue.take(float(number)))
    for batch in batches(queue):
        assert batch.rows == sum(request.rows for request in batch.requests) <= 8
        assert len({lanes[request.number][0] for request in batch.requests}) == 1
        taken += numbers(batch)
    assert sorted(taken) == list(range(len(stream)))
    for lane in set(lanes.values()):
        order = [number for number in taken if lanes[number] == lane]
        assert order == sorted(order)
