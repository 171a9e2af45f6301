"""What waits for messages under way, and what leaves beside them."""

from __future__ import annotations

import pytest

from tests.unit.gateway.hop.fakes import KEY, Sender, Wire, items_of
from trireme_protos.trireme.v1 import envelope_pb2


def sent(wire: Wire, *payloads: bytes) -> list[int]:
    """Sends each as a call of its own; returns how many items every message of now has."""
    for payload in payloads:
        wire.send(Sender().call(items_of(payload)))
    return [len(message.items) for message in wire.read()]


def answered(wire: Wire, runs: list[tuple[int, int, int]]) -> None:
    """A first message of items is answered: (items, us in the queue, us of their run) of every run."""
    wire.send(Sender().call(items_of(*(b"x" for _ in range(sum(run[0] for run in runs))))))
    (message,) = wire.read()
    times = [(queue_us, compute_us) for items, queue_us, compute_us in runs for _ in range(items)]
    wire.say(
        *(
            envelope_pb2.Result(id=item.id, payload=b"X", queue_us=queue_us, compute_us=compute_us)
            for item, (queue_us, compute_us) in zip(message.items, times, strict=True)
        )
    )


def test_nothing_is_known_at_first_and_items_gather() -> None:
    wire = Wire()
    assert sent(wire, b"a") == [1]
    assert sent(wire, b"b", b"c") == []


@pytest.mark.parametrize(
    ("runs", "messages"),
    [
        ([(1, 0, 300)], []),
        ([(8, 100, 9000)], []),  # a run of eight
        ([(4, 100, 5000), (4, 100, 6000)], []),  # two runs of four, in one answer
        ([(1, 0, 6000)], [2]),
        ([(4, 5000, 24_000)], [2]),
        ([(4, 30_000, 24_000)], []),  # they would wait there as well
    ],
)
def test_long_items_leave_beside_what_is_under_way_unless_the_stage_has_a_queue(
    runs: list[tuple[int, int, int]], messages: list[int]
) -> None:
    wire = Wire()
    answered(wire, runs)
    assert sent(wire, b"a") == [1]
    assert sent(wire, b"b", b"c") == messages


def test_a_version_is_judged_by_its_own_times() -> None:
    wire, other = Wire(), ("other", "1")
    wire.send(Sender().call(items_of(b"x")))
    wire.send(Sender().call(items_of(b"y"), other))
    own, neighbour = (message.items[0] for message in wire.read())
    wire.say(
        envelope_pb2.Result(id=own.id, payload=b"X", queue_us=0, compute_us=6000),
        envelope_pb2.Result(id=neighbour.id, payload=b"Y", queue_us=90_000, compute_us=6000),
    )
    assert wire.learning.gathers(other)
    assert not wire.learning.gathers(KEY)


def test_items_that_failed_before_they_ran_teach_nothing() -> None:
    wire = Wire()
    answered(wire, [(1, 0, 6000)])
    answered(wire, [(1, 0, 0)])
    assert sent(wire, b"a") == [1]
    assert sent(wire, b"b") == [1]


def test_a_scheduler_that_wants_to_see_everything_gets_it_at_once() -> None:
    wire = Wire()
    wire.exchange.at_once = frozenset([KEY])
    assert sent(wire, b"a") == [1]
    assert sent(wire, b"b", b"c") == [2]
    wire.exchange.at_once = frozenset()
    assert sent(wire, b"d") == []
