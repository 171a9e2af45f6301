"""Who gets a place, and who has waited longest."""

from __future__ import annotations

from trireme_gateway.holding.queue import HoldQueue, Place


def taken(place: Place | None) -> Place:
    assert place is not None
    return place


def test_places_are_in_the_order_of_arrival_and_bounded() -> None:
    queue = HoldQueue(2, 100)
    first, second = taken(queue.enter("a", 0, 9)), taken(queue.enter("b", 1, 9))
    assert queue.enter("a", 2, 9) is None
    assert list(queue) == [first, second]
    assert queue.models() == {"a", "b"}
    queue.leave(first)
    third = taken(queue.enter("a", 3, 9))
    assert list(queue) == [second, third]
    assert (queue.depth("a"), queue.depth("b"), queue.depth("c")) == (1, 1, 0)


def test_bytes_are_bounded_too() -> None:
    queue = HoldQueue(10, 100)
    large = taken(queue.enter("a", 0, 9, 80))
    assert queue.enter("a", 0, 9, 21) is None
    taken(queue.enter("a", 0, 9, 20))
    queue.leave(large)
    queue.leave(large)
    taken(queue.enter("a", 0, 9, 80))
    assert queue.enter("a", 0, 9, 1) is None


def test_whoever_has_no_time_gets_no_place() -> None:
    queue = HoldQueue(10, 100)
    assert queue.enter("a", 5.0, 5.0) is None
    assert len(queue) == 0


def test_the_oldest_of_each_model() -> None:
    queue = HoldQueue(10, 100)
    first = taken(queue.enter("a", 1, 9))
    taken(queue.enter("a", 2, 9))
    taken(queue.enter("b", 3, 9))
    assert queue.oldest() == {"a": 1, "b": 3}
    queue.leave(first)
    assert queue.oldest() == {"a": 2, "b": 3}


def test_a_peak_between_two_looks_is_remembered_once() -> None:
    queue = HoldQueue(1, 100)
    place = taken(queue.enter("a", 0, 9))
    queue.leave(place)
    assert queue.take_peaks() == {"a": 1}
    assert queue.take_peaks() == {}
    taken(queue.enter("a", 0, 9))
    assert queue.take_peaks() == {"a": 1}
    assert queue.take_peaks() == {"a": 1}  # it still waits


def test_a_request_that_was_refused_is_demand_too() -> None:
    queue = HoldQueue(1, 100)
    taken(queue.enter("a", 0, 9))
    assert queue.enter("b", 0, 9) is None
    assert queue.take_peaks() == {"a": 1, "b": 1}
