"""What goes over one stream and comes back, without the stream."""

from __future__ import annotations

import time

import pytest

from tests.unit.gateway.hop.fakes import KEY, Sender, SentNowhere, Wire, items_of, leg_of
from trireme_common.errors import Code, TriremeError
from trireme_common.payloads import MAX_PAYLOAD_BYTES
from trireme_gateway.hop.ports import HopItem
from trireme_protos.trireme.v1 import envelope_pb2


def payloads(message: envelope_pb2.Envelope) -> list[bytes]:
    return [item.payload for item in message.items]


def outcomes(items: list[HopItem]) -> list[bytes | TriremeError | None]:
    return [item.outcome for item in items]


def code_of(item: HopItem) -> Code:
    assert isinstance(item.outcome, TriremeError)
    return item.outcome.code


def test_every_item_of_a_message_brings_what_is_its_own() -> None:
    wire, sender = Wire(), Sender()
    mine = items_of(b"a", b"b", request_id="mine", seconds=5, priority=2, traceparent="00-mine")
    mine[1].traceparent = "00-mine-too"
    others = items_of(b"c", request_id="another", seconds=20, priority=1)
    wire.send(sender.call([*mine, *others]))
    wire.send(sender.call(items_of(b"d", request_id="late", seconds=-1, traceparent="00-late")))
    wire.send(sender.call(items_of(b"e", request_id="patient", seconds=1e9)))
    (message,) = wire.read()
    assert (message.model, message.version) == KEY
    assert [(item.request_id, item.traceparent, item.priority) for item in message.items] == [
        ("mine", "00-mine", 2),
        ("mine", "00-mine-too", 2),
        ("another", "", 1),
        ("late", "00-late", 0),
        ("patient", "", 0),
    ]
    left = [item.remaining_ms for item in message.items]
    assert left[0] == left[1]
    assert 0 < left[0] <= 5_000 < left[2] <= 20_000
    assert left[3:] == [0, 2**32 - 1]


def test_a_large_item_brings_as_much_as_a_small_one() -> None:
    wire = Wire()
    large = b"x" * 300_000
    wire.send(
        Sender().call(items_of(b"a", large, request_id="id", seconds=9, priority=3, traceparent="00-place"))
    )
    (message,) = wire.read()
    small, big = sorted(message.items, key=lambda item: item.id)
    assert big.payload == large
    assert (big.request_id, big.priority, big.traceparent) == ("id", 3, "00-place")
    assert big.remaining_ms == small.remaining_ms
    assert big.id == small.id + 1


def test_what_one_message_answers_is_handed_over_at_once_when_its_calls_are_over() -> None:
    wire, one, other = Wire(), Sender(), Sender()
    first, second, third = items_of(b"a", b"b"), items_of(b"c"), items_of(b"d")
    legs = [wire.send(one.call(first)), wire.send(one.call(second)), wire.send(other.call(third))]
    wire.answer(*wire.read())
    assert one.taken == [[*first, *second]]
    assert one.told == ["over", "over", "took"]
    assert (other.taken, other.told) == ([third], ["over", "took"])
    assert outcomes([*first, *second, *third]) == [b"A", b"B", b"C", b"D"]
    assert [(item.queue_us, item.compute_us) for item in first] == [(3, 4)] * 2
    assert wire.finished == legs
    assert (wire.exchange.outstanding, list(wire.exchange.legs)) == (0, [])


def test_items_do_not_wait_for_their_neighbours() -> None:
    wire, sender = Wire(), Sender()
    items = items_of(b"a", b"b", b"c")
    leg = wire.send(sender.call(items))
    (message,) = wire.read()
    wire.say(envelope_pb2.Result(id=message.items[1].id, payload=b"B"))
    assert sender.taken == [[items[1]]]
    assert (leg.remaining, wire.exchange.outstanding, wire.finished) == (2, 2, [])
    wire.say(*(envelope_pb2.Result(id=message.items[at].id, payload=b"well") for at in (2, 0)))
    assert sender.taken[1:] == [[items[2], items[0]]]
    assert wire.finished == [leg]


def test_without_coalescing_every_item_has_its_own_message() -> None:
    wire, sender = Wire(coalesce=False), Sender()
    asked = [items_of(b"a", b"b") for _ in range(5)]
    for items in asked:
        wire.send(sender.call(items))
    messages = wire.read()
    assert [payloads(message) for message in messages] == [[b"a"], [b"b"]] * 5
    assert wire.observer.sizes == [1] * 10
    wire.answer(*messages)
    assert [outcomes(items) for items in asked] == [[b"A", b"B"]] * 5
    assert wire.exchange.outstanding == 0


def test_a_call_larger_than_a_message_travels_in_several() -> None:
    wire, sender = Wire(), Sender()
    part = 400 * 1024
    items = items_of(b"a" * part, b"b" * part, b"c" * 30 * part, b"d", b"e" * part)
    wire.send(sender.call(items))
    waiting = items_of(b"next")
    messages = wire.read()
    assert [len(message.items) for message in messages] == [2, 1, 2]
    wire.send(sender.call(waiting))
    wire.answer(*messages[:2])
    assert wire.read() == []  # the parts are one message where the next one waits for its answers
    wire.answer(messages[2])
    assert [outcome[:1] for outcome in outcomes(items) if isinstance(outcome, bytes)] == [
        b"A", b"B", b"C", b"D", b"E",
    ]  # fmt: skip
    assert [payloads(message) for message in wire.read()] == [[b"next"]]


def test_an_item_too_large_for_any_message_fails_alone() -> None:
    wire, sender = Wire(), Sender()
    too_large = b"x" * (MAX_PAYLOAD_BYTES + 1)
    mixed, alone = items_of(b"a", too_large), items_of(too_large)
    wire.send(sender.call(mixed))
    lone = wire.send(sender.call(alone))
    (message,) = wire.read()
    assert payloads(message) == [b"a"]
    assert [code_of(item) for item in (mixed[1], *alone)] == [Code.PAYLOAD_TOO_LARGE] * 2
    assert sender.taken == [[mixed[1], *alone]]
    assert wire.finished == [lone]
    wire.answer(message)
    assert mixed[0].outcome == b"A"
    still = items_of(b"still")
    wire.send(sender.call(still))
    wire.answer(*wire.read())
    assert still[0].outcome == b"STILL"
    assert wire.exchange.outstanding == 0


def test_a_message_of_nothing_but_items_too_large_holds_nothing_back() -> None:
    wire, sender = Wire(), Sender()
    wire.send(sender.call(items_of(b"x" * (MAX_PAYLOAD_BYTES + 1))))
    assert wire.read() == []
    wire.send(sender.call(items_of(b"next")))
    assert [payloads(message) for message in wire.read()] == [[b"next"]]


def test_an_item_that_waits_is_withdrawn_and_its_neighbours_are_sent() -> None:
    wire, sender = Wire(), Sender()
    wire.send(sender.call(items_of(b"first")))
    (first,) = wire.read()
    items = items_of(b"a", b"b", b"c")
    call = sender.call(items)
    leg = wire.send(call)
    woken = wire.woken
    call.withdraw([items[1]], 1.0)
    assert (leg.remaining, wire.exchange.outstanding) == (2, 3)
    assert wire.woken > woken
    wire.answer(first)
    (message,) = wire.read()
    assert payloads(message) == [b"a", b"c"]
    assert not message.cancels
    wire.answer(message)
    assert outcomes(items) == [b"A", None, b"C"]
    assert sender.taken[1:] == [[items[0], items[2]]]
    assert wire.finished[1:] == [leg]
    assert wire.exchange.outstanding == 0


def test_what_was_withdrawn_does_not_fill_a_message() -> None:
    wire, sender = Wire(max_items=3), Sender()
    wire.send(sender.call(items_of(b"first")))
    wire.read()
    items = items_of(b"a", b"b", b"c")
    call = sender.call(items)
    wire.send(call)
    call.withdraw([items[0]], 1.0)
    assert wire.read() == []
    wire.send(sender.call(items_of(b"d")))
    assert [payloads(message) for message in wire.read()] == [[b"b", b"c", b"d"]]


def test_an_item_that_was_sent_is_cancelled_and_its_neighbours_are_answered() -> None:
    wire, sender = Wire(), Sender()
    items, others = items_of(b"a", b"b", b"c"), items_of(b"d")
    call = sender.call(items)
    leg = wire.send(call)
    wire.send(sender.call(others))
    (message,) = wire.read()
    woken = wire.woken
    call.withdraw([items[1]], 1.0)
    assert (leg.remaining, wire.exchange.outstanding) == (2, 3)
    assert wire.woken > woken
    assert [list(written.cancels) for written in wire.read()] == [[message.items[1].id]]
    wire.answer(message)  # the one that was cancelled too, too late
    assert outcomes(items) == [b"A", None, b"C"]
    assert outcomes(others) == [b"D"]
    assert sender.taken == [[items[0], items[2], *others]]
    assert wire.finished[0] is leg
    assert wire.exchange.outstanding == 0


def test_a_cancelled_item_is_not_waited_for_by_what_is_to_follow_its_message() -> None:
    wire, sender = Wire(), Sender()
    items = items_of(b"a", b"b")
    call = sender.call(items)
    wire.send(call)
    (message,) = wire.read()
    wire.send(sender.call(items_of(b"next")))
    call.withdraw([items[0]], 1.0)
    (cancel,) = wire.read()
    assert (list(cancel.cancels), len(cancel.items)) == ([message.items[0].id], 0)  # b is unanswered
    wire.say(envelope_pb2.Result(id=message.items[1].id, payload=b"B"))
    assert [payloads(written) for written in wire.read()] == [[b"next"]]


def test_items_withdrawn_one_after_the_other_leave_nothing_behind() -> None:
    wire, sender = Wire(), Sender()
    items = items_of(b"a", b"b", b"c")
    call = sender.call(items)
    wire.send(call)
    (message,) = wire.read()
    for item in items:
        call.withdraw([item], 1.0)
    assert sender.ended == [call]
    assert [list(written.cancels) for written in wire.read()] == [[item.id for item in message.items]]
    assert (wire.exchange.outstanding, list(wire.exchange.legs)) == (0, [])
    wire.answer(message)
    assert sender.taken == []
    wire.send(sender.call(items_of(b"next")))
    assert [payloads(written) for written in wire.read()] == [[b"next"]]


def test_a_leg_that_waits_is_taken_back_whole_without_a_word() -> None:
    wire, sender = Wire(), Sender()
    wire.send(sender.call(items_of(b"first")))
    (first,) = wire.read()
    items = items_of(b"a", b"b")
    call = sender.call(items)
    wire.send(call)
    call.withdraw(items, 1.0)
    assert wire.exchange.outstanding == 1
    wire.answer(first)
    assert wire.read() == []


def test_what_is_withdrawn_of_a_leg_that_the_exchange_no_longer_has_is_nothing_to_it() -> None:
    wire, sender = Wire(), Sender()
    items = items_of(b"a", b"b")
    leg = wire.send(sender.call(items))
    wire.read()
    assert wire.exchange.clear() == [leg]
    wire.exchange.withdraw(leg, items[:1])
    assert wire.exchange.outstanding == 0
    assert wire.read() == []


def test_what_was_answered_elsewhere_while_its_leg_waited_is_not_sent() -> None:
    wire, sender = Wire(), Sender()
    wire.send(sender.call(items_of(b"first")))
    (first,) = wire.read()
    items = items_of(b"a", b"b", b"c")
    call = sender.call(items)
    elsewhere = leg_of(call, SentNowhere())
    leg = wire.send(call)
    call.take(elsewhere, items[0], b"answered", 0, 0)
    items[0].payload = b"for the next hop"
    wire.answer(first)
    (message,) = wire.read()
    assert payloads(message) == [b"b", b"c"]
    assert (leg.remaining, wire.exchange.outstanding) == (2, 2)
    wire.answer(message)
    assert outcomes(items) == [b"answered", b"B", b"C"]
    assert wire.finished[1:] == [leg]
    wire.send(sender.call(items_of(b"next")))
    assert [payloads(written) for written in wire.read()] == [[b"next"]]


def test_results_that_nobody_asked_for_are_passed_over() -> None:
    wire, sender = Wire(), Sender()
    for _ in range(3):
        items = items_of(b"a")
        wire.send(sender.call(items))
        ((item,),) = (message.items for message in wire.read())
        wire.say(
            envelope_pb2.Result(id=item.id + 1000, payload=b"whose?"),
            envelope_pb2.Result(id=item.id, payload=b"first"),
            envelope_pb2.Result(id=item.id, payload=b"twice"),
        )
        assert outcomes(items) == [b"first"]
    assert len(sender.taken) == 3
    assert wire.exchange.outstanding == 0


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (envelope_pb2.Result(id=1), Code.INTERNAL),
        (envelope_pb2.Result(id=1, failure=envelope_pb2.Failure(code="brand_new")), Code.INTERNAL),
        (envelope_pb2.Result(id=1, failure=envelope_pb2.Failure(code="blank_text")), Code.BLANK_TEXT),
    ],
)
def test_outcomes_of_no_known_kind_are_errors_of_the_platform(
    result: envelope_pb2.Result, code: Code
) -> None:
    wire = Wire()
    items = items_of(b"a")
    wire.send(Sender().call(items))
    wire.read()
    wire.say(result)
    assert code_of(items[0]) is code


def test_a_message_says_how_much_time_is_left_when_it_leaves() -> None:
    wire, sender = Wire(), Sender()
    items = items_of(b"a", seconds=5)
    wire.send(sender.call(items))
    before = time.monotonic()
    ((item,),) = (message.items for message in wire.read())
    after = time.monotonic()
    deadline = items[0].request.deadline
    assert int((deadline - after) * 1000) <= item.remaining_ms <= int((deadline - before) * 1000)


def test_a_leg_of_which_everything_was_answered_elsewhere_leaves_no_place_taken() -> None:
    first, other, sender = Wire(), Wire(), Sender()
    other.send(sender.call(items_of(b"busy")))
    busy = other.read()
    (item,) = items_of(b"x")
    call = sender.call([item])
    first.send(call)
    sent = first.read()
    other.send(call)  # waits, because one message is all that may be under way
    other.answer(*busy)
    first.answer(*sent)
    assert item.outcome == b"X"
    assert other.read() == []
    assert other.exchange.outstanding == 0
    other.send(sender.call(items_of(b"next")))
    assert [[one.payload for one in message.items] for message in other.read()] == [[b"next"]]
