"""Which requests have run out of time, with and without a bound of the queue."""

from __future__ import annotations

import math

from tests.support.inference_fakes import Inbox, make_request
from trireme_inference.deadlines import DeadlineHeap
from trireme_inference.requests import Request


def request_of(deadline: float, arrived: float = 0.0) -> Request:
    request = make_request(Inbox(), [[1.0]])
    request.arrived, request.deadline = arrived, deadline
    return request


def test_the_earliest_comes_first_and_each_once() -> None:
    heap = DeadlineHeap()
    late, early, answered = request_of(5), request_of(2), request_of(1)
    for request in (late, early, answered):
        heap.add(request)
    answered.answered = True
    assert heap.next() == 2
    assert heap.pop_expired(1.9) == []
    assert heap.pop_expired(6) == [early, late]
    assert heap.next() == math.inf


def test_while_it_waits_the_queues_bound_counts_and_then_its_own() -> None:
    heap = DeadlineHeap(3.0)
    begun, waiting = request_of(10, arrived=1), request_of(10, arrived=2)
    heap.add(begun)
    heap.add(waiting)
    assert (begun.deadline, heap.next()) == (4, 4)
    heap.begun([begun])
    assert (begun.deadline, heap.next()) == (10, 5)
    assert heap.pop_expired(9) == [waiting]
    assert heap.pop_expired(10) == [begun]


def test_an_earlier_deadline_of_the_caller_stays() -> None:
    heap = DeadlineHeap(3.0)
    request = request_of(2)
    heap.add(request)
    heap.begun([request])
    assert (request.deadline, heap.next()) == (2, 2)
    assert heap.pop_expired(2) == [request]
    assert heap.next() == math.inf
