from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trireme_gateway.hop.calls import HopCall, Leg
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import HopItem, Key

KEY = ("m", "1")
NOWHERE: Any = None


def make(key: Key = KEY, items: int = 1) -> Leg:
    """A leg of its own call; neither is asked for an answer here."""
    call = HopCall(key, [HopItem(NOWHERE, b"x") for _ in range(items)], NOWHERE, NOWHERE)
    return Leg(call, call.items, NOWHERE, 0.0)


def shrink(pending: Pending, leg: Leg, items: int) -> None:
    """Takes items of a leg back as its exchange does."""
    leg.items = leg.items[items:]
    pending.shrink(leg, items)
    leg.remaining -= items


def test_an_idle_lane_sends_at_once() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    leg = make()
    pending.add(leg)
    assert pending.take(KEY) == [leg]


def test_what_arrives_meanwhile_leaves_together_with_the_next_answer() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    pending.add(make())
    pending.take(KEY)
    second, third = make(), make()
    pending.add(second)
    pending.add(third)
    assert pending.take(KEY) == []
    pending.answered(KEY)
    assert pending.take(KEY) == [second, third]


def test_a_full_message_leaves_although_answers_are_outstanding() -> None:
    pending = Pending(max_in_flight=1, max_items=3)
    pending.add(make())
    pending.take(KEY)
    legs = [make(items=2), make(items=1)]
    for leg in legs:
        pending.add(leg)
    assert pending.take(KEY) == legs


def test_what_does_not_gather_leaves_at_once() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    pending.add(make())
    pending.take(KEY)
    legs = [make(), make()]
    for leg in legs:
        pending.add(leg)
    assert pending.take(KEY) == []
    assert pending.take(KEY, gathers=False) == legs


def test_keys_do_not_hold_each_other_back() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    pending.add(make())
    pending.take(KEY)
    other = make(("n", "1"))
    pending.add(other)
    assert pending.take(("n", "1")) == [other]


def test_without_coalescing_every_leg_leaves_alone_and_at_once() -> None:
    pending = Pending(max_in_flight=1, max_items=8, coalesce=False)
    legs = [make(), make(), make()]
    for leg in legs:
        pending.add(leg)
    assert [pending.take(KEY) for _ in range(4)] == [[legs[0]], [legs[1]], [legs[2]], []]
    assert pending.message_items == 1
    for _ in legs:
        pending.answered(KEY)
    pending.add(legs[0])
    assert pending.take(KEY) == [legs[0]]


def test_a_leg_that_waits_can_be_taken_back_once() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    leg = make()
    pending.add(leg)
    assert pending.discard(leg)
    assert not pending.discard(leg)
    assert pending.take(KEY) == []


def test_a_leg_that_was_sent_cannot_be_taken_back() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    leg = make()
    pending.add(leg)
    pending.take(KEY)
    assert not pending.discard(leg)


def test_what_was_taken_back_of_a_leg_does_not_fill_its_message() -> None:
    pending = Pending(max_in_flight=1, max_items=4)
    pending.add(make())
    pending.take(KEY)
    legs = [make(items=3), make(items=1), make(items=2)]
    for leg in legs[:2]:
        pending.add(leg)
    shrink(pending, legs[0], 2)
    assert pending.take(KEY) == []
    pending.add(legs[2])
    assert pending.take(KEY) == legs


def test_a_leg_taken_back_after_items_of_it_leaves_nothing_behind() -> None:
    pending = Pending(max_in_flight=1, max_items=4)
    pending.add(make())
    pending.take(KEY)
    leg = make(items=3)
    pending.add(leg)
    shrink(pending, leg, 2)
    assert pending.discard(leg)
    legs = [make(items=3), make()]
    pending.add(legs[0])
    assert pending.take(KEY) == []
    pending.add(legs[1])
    assert pending.take(KEY) == legs


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 2), st.integers(1, 6)),
            st.tuples(st.just("discard"), st.integers(0, 30), st.just(0)),
            st.tuples(st.just("shrink"), st.integers(0, 30), st.integers(1, 5)),
            st.tuples(st.just("take"), st.integers(0, 2), st.just(0)),
            st.tuples(st.just("answer"), st.integers(0, 30), st.just(0)),
        ),
        max_size=60,
    ),
    max_in_flight=st.integers(1, 3),
    max_items=st.integers(1, 5),
    coalesce=st.booleans(),
)
def test_nothing_is_lost_or_sent_twice_and_order_is_kept(
    steps: list[tuple[str, int, int]], max_in_flight: int, max_items: int, coalesce: bool
) -> None:
    pending = Pending(max_in_flight=max_in_flight, max_items=max_items, coalesce=coalesce)
    added: list[Leg] = []
    sent: dict[Key, list[Leg]] = defaultdict(list)
    in_flight: list[Key] = []
    dropped: set[Leg] = set()

    def take(key: Key) -> bool:
        legs = pending.take(key)
        if not legs:
            return False
        items = sum(leg.remaining for leg in legs)
        assert items <= max_items or len(legs) == 1
        assert coalesce or len(legs) == 1
        sent[key].extend(legs)
        in_flight.append(key)
        return True

    for what, number, items in steps:
        if what == "add":
            added.append(make((str(number), "1"), items))
            pending.add(added[-1])
        elif what == "discard" and added:
            leg = added[number % len(added)]
            was_waiting = leg not in dropped and leg not in sent[leg.key]
            assert pending.discard(leg) is was_waiting
            if was_waiting:
                dropped.add(leg)
        elif what == "shrink" and added:
            leg = added[number % len(added)]
            if leg not in dropped and leg not in sent[leg.key] and items < leg.remaining:
                shrink(pending, leg, items)
        elif what == "take":
            take((str(number), "1"))
        elif what == "answer" and in_flight:
            pending.answered(in_flight.pop(number % len(in_flight)))
    while in_flight or any(take((str(number), "1")) for number in range(3)):
        if in_flight:
            pending.answered(in_flight.pop())
    for number in range(3):
        key = (str(number), "1")
        assert sent[key] == [leg for leg in added if leg.key == key and leg not in dropped]
