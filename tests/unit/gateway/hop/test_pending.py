from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from trireme_gateway.hop.pending import Call, Key, Pending

KEY = ("m", "1")


def make(key: Key = KEY, items: int = 1, first_id: int = 1) -> Call:
    return Call(key, first_id, [b"x"] * items, 0.0, "r")


def test_an_idle_lane_sends_at_once() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    call = make()
    pending.add(call)
    assert pending.take(KEY) == [call]


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
    calls = [make(items=2), make(items=1)]
    for call in calls:
        pending.add(call)
    assert pending.take(KEY) == calls


def test_keys_do_not_hold_each_other_back() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    pending.add(make())
    pending.take(KEY)
    other = make(("n", "1"))
    pending.add(other)
    assert pending.take(("n", "1")) == [other]


def test_without_coalescing_every_call_leaves_alone_and_at_once() -> None:
    pending = Pending(max_in_flight=1, max_items=8, coalesce=False)
    calls = [make(), make(), make()]
    for call in calls:
        pending.add(call)
    assert [pending.take(KEY) for _ in range(4)] == [[calls[0]], [calls[1]], [calls[2]], []]
    assert pending.message_items == 1
    for _ in calls:
        pending.answered(KEY)
    pending.add(calls[0])
    assert pending.take(KEY) == [calls[0]]


def test_a_call_that_waits_can_be_taken_back_once() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    call = make()
    pending.add(call)
    assert pending.discard(call)
    assert not pending.discard(call)
    assert pending.take(KEY) == []


def test_a_call_that_was_sent_cannot_be_taken_back() -> None:
    pending = Pending(max_in_flight=1, max_items=8)
    call = make()
    pending.add(call)
    pending.take(KEY)
    assert not pending.discard(call)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 2), st.integers(1, 6)),
            st.tuples(st.just("discard"), st.integers(0, 30), st.just(0)),
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
    added: list[Call] = []
    sent: dict[Key, list[Call]] = defaultdict(list)
    in_flight: list[Key] = []
    dropped: set[Call] = set()

    def take(key: Key) -> bool:
        calls = pending.take(key)
        if not calls:
            return False
        items = sum(len(call.payloads) for call in calls)
        assert items <= max_items or len(calls) == 1
        assert coalesce or len(calls) == 1
        sent[key].extend(calls)
        in_flight.append(key)
        return True

    for what, number, items in steps:
        if what == "add":
            added.append(make((str(number), "1"), items))
            pending.add(added[-1])
        elif what == "discard" and added:
            call = added[number % len(added)]
            was_waiting = call not in dropped and call not in sent[call.key]
            assert pending.discard(call) is was_waiting
            if was_waiting:
                dropped.add(call)
        elif what == "take":
            take((str(number), "1"))
        elif what == "answer" and in_flight:
            pending.answered(in_flight.pop(number % len(in_flight)))
    while in_flight or any(take((str(number), "1")) for number in range(3)):
        if in_flight:
            pending.answered(in_flight.pop())
    for number in range(3):
        key = (str(number), "1")
        assert sent[key] == [call for call in added if call.key == key and call not in dropped]
