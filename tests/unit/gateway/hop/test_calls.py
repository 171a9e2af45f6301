from __future__ import annotations

import pytest

from tests.unit.gateway.hop.fakes import Sender, SentNowhere, items_of, leg_of
from trireme_common.errors import Code, TriremeError
from trireme_gateway.hop.calls import Arrivals

BUSY = TriremeError(Code.OVERLOADED, "busy")
BROKEN = TriremeError(Code.INTERNAL, "broken")
BLANK = TriremeError(Code.BLANK_TEXT, "blank")
GONE = TriremeError(Code.BACKEND_UNAVAILABLE, "gone")


def test_an_item_takes_the_first_outcome_from_whichever_leg() -> None:
    (item,) = items_of(b"a")
    call = Sender().call([item])
    slow, quick = leg_of(call, SentNowhere()), leg_of(call, SentNowhere())
    assert call.take(quick, item, b"quick", 3, 4)
    assert not call.take(slow, item, b"slow", 5, 6)
    assert (item.outcome, item.queue_us, item.compute_us, item.call) == (b"quick", 3, 4, None)
    assert call.answered
    assert call.remaining == 0


@pytest.mark.parametrize("error", [BUSY, BROKEN, GONE])
def test_a_fault_of_one_leg_waits_for_the_other(error: TriremeError) -> None:
    (item,) = items_of(b"a")
    call = Sender().call([item])
    first, second = leg_of(call, SentNowhere()), leg_of(call, SentNowhere())
    assert not call.take(first, item, error, 0, 0)
    assert (item.outcome, call.remaining, call.missing()) == (None, 1, [item])
    assert not first.covers(item)
    assert call.uncovered() == []
    assert call.take(second, item, b"well", 0, 0)
    assert item.outcome == b"well"


def test_the_fault_of_the_last_leg_is_the_outcome() -> None:
    (item,) = items_of(b"a")
    call = Sender().call([item])
    first, second = leg_of(call, SentNowhere()), leg_of(call, SentNowhere())
    assert not call.take(first, item, BUSY, 0, 0)
    assert call.take(second, item, BROKEN, 0, 0)
    assert item.outcome is BROKEN


def test_what_the_item_itself_got_wrong_waits_for_nobody() -> None:
    (item,) = items_of(b" ")
    call = Sender().call([item])
    first, _ = leg_of(call, SentNowhere()), leg_of(call, SentNowhere())
    assert call.take(first, item, BLANK, 0, 0)
    assert item.outcome is BLANK


@pytest.mark.parametrize(
    ("outcome", "sound"), [(b"well", True), (BLANK, True), (BUSY, True), (BROKEN, False), (GONE, False)]
)
def test_a_leg_is_sound_once_anything_but_a_fault_came(outcome: bytes | TriremeError, sound: bool) -> None:
    items = items_of(b"a", b"b")
    call = Sender().call(items)
    leg = leg_of(call, SentNowhere())
    call.take(leg, items[0], outcome, 0, 0)
    assert leg.sound is sound
    call.take(leg, items[1], BROKEN, 0, 0)
    assert leg.sound is sound


def test_the_outcome_of_an_item_that_was_withdrawn_or_has_gone_on_is_not_taken() -> None:
    sender = Sender()
    withdrawn, gone_on, left = items_of(b"a", b"b", b"c")
    call = sender.call([withdrawn, gone_on, left])
    leg, other = leg_of(call, SentNowhere()), leg_of(call, SentNowhere())
    call.withdraw([withdrawn], 1.0)
    call.take(other, gone_on, b"first", 0, 0)
    onward = sender.call([gone_on])
    for item in (withdrawn, gone_on):
        assert not call.take(leg, item, b"late", 0, 0)
        assert item.outcome is None
    assert (call.remaining, onward.remaining) == (1, 1)
    assert call.missing() == [left]


def test_the_last_item_withdrawn_ends_the_call() -> None:
    sender, carrier = Sender(), SentNowhere()
    items = items_of(b"a", b"b")
    call = sender.call(items)
    leg = leg_of(call, carrier)
    call.withdraw(items[:1], 1.0)
    assert (sender.ended, carrier.dropped, carrier.withdrawn) == ([], [], items[:1])
    call.withdraw(items[1:], 1.0)
    assert (sender.ended, carrier.dropped, carrier.withdrawn) == ([call], [leg], items[:1])
    assert sender.taken == []
    assert not call.answered


def test_a_whole_call_is_withdrawn_at_once() -> None:
    sender, carriers = Sender(), [SentNowhere(), SentNowhere()]
    items = items_of(b"a", b"b", b"c")
    call = sender.call(items)
    legs = [leg_of(call, carrier) for carrier in carriers]
    call.withdraw(items, 1.0)
    assert sender.ended == [call]
    assert [carrier.dropped for carrier in carriers] == [[leg] for leg in legs]
    assert [carrier.withdrawn for carrier in carriers] == [[], []]


def test_a_leg_of_which_nothing_is_left_is_dropped_and_the_others_go_on() -> None:
    sender, first, second = Sender(), SentNowhere(), SentNowhere()
    a, b, c = items_of(b"a", b"b", b"c")
    call = sender.call([a, b, c])
    emptied, kept = leg_of(call, first, [a, b]), leg_of(call, second, [b, c])
    call.withdraw([a, b], 1.0)
    assert (first.dropped, first.withdrawn) == ([emptied], [])
    assert (second.dropped, second.withdrawn) == ([], [b])
    assert call.legs == [kept]
    assert sender.ended == []


def test_an_endpoint_that_refused_an_item_is_not_told_of_its_withdrawal() -> None:
    first, second = SentNowhere(), SentNowhere()
    a, b = items_of(b"a", b"b")
    call = Sender().call([a, b])
    refusing, _ = leg_of(call, first), leg_of(call, second)
    call.take(refusing, a, BUSY, 0, 0)
    call.withdraw([a], 1.0)
    assert (first.withdrawn, first.dropped) == ([], [])
    assert second.withdrawn == [a]


def test_items_that_nobody_can_answer_fail_alone_until_they_are_the_last() -> None:
    sender, carrier = Sender(), SentNowhere()
    a, b = items_of(b"a", b"b")
    a.queue_us = b.compute_us = 7
    call = sender.call([a, b])
    leg = leg_of(call, carrier, [b])
    assert call.uncovered() == [a]
    call.fail(GONE, [a], 1.0)
    assert (a.outcome, a.queue_us, a.call) == (GONE, 0, None)
    assert (sender.taken, sender.told) == ([[a]], ["took"])
    assert call.missing() == [b]
    call.fail(GONE, [b], 1.0)
    assert (b.outcome, b.compute_us) == (GONE, 0)
    assert carrier.dropped == [leg]
    assert sender.taken == [[a], [b]]
    assert sender.told == ["took", "over", "took"]
    assert not call.answered


def test_what_arrives_together_reaches_its_senders_together_and_after_the_calls_are_over() -> None:
    one, other = Sender(), Sender()
    a, b, c, d = items_of(b"a", b"b", b"c", b"d")
    calls = [one.call([a, b]), one.call([c]), other.call([d])]
    arrivals = Arrivals()
    for call, item in ((calls[2], d), (calls[0], a), (calls[1], c)):
        assert call.take(leg_of(call, SentNowhere()), item, b"well", 0, 0)
        arrivals.add(call, item)
    assert (one.told, other.told) == ([], [])
    arrivals.deliver(1.0)
    assert one.taken == [[a, c]]
    assert (one.ended, one.told) == ([calls[1]], ["over", "took"])  # of the first call, b is to come
    assert (other.taken, other.told) == ([[d]], ["over", "took"])


def test_what_is_left_of_a_call_that_is_over_is_taken_back_before_its_sender_hears() -> None:
    sender, carrier = Sender(), SentNowhere()
    (item,) = items_of(b"a")
    call = sender.call([item])
    hedge, leg = leg_of(call, carrier), leg_of(call, SentNowhere())
    arrivals = Arrivals()
    call.take(leg, item, b"well", 0, 0)
    arrivals.add(call, item)
    arrivals.deliver(1.0)
    assert carrier.dropped == [hedge]
    assert call.legs == []
