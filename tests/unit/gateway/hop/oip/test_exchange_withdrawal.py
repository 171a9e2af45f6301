"""Legs that lose some of their items on the way."""

from __future__ import annotations

import numpy as np

from tests.support.stages import until
from tests.unit.gateway.hop.oip.fakes import BAD, Doubling, Sent, item, values_of
from trireme_common.errors import TriremeError
from trireme_gateway.hop.oip.ports import ServerAwayError


async def test_the_neighbours_of_an_item_that_is_withdrawn_go_on() -> None:
    server = Doubling(most_rows=8)
    server.gate.clear()
    sent = server.send(item(1), item(2), item(3))
    await until(lambda: bool(server.requests))
    sent.withdraw(sent.items[1])
    assert (server.calls.outstanding, sent.leg.remaining, list(server.calls.legs)) == (2, 2, [sent.leg])
    server.gate.set()
    first, withdrawn, last = await sent.outcomes()
    assert (values_of(first), withdrawn, values_of(last)) == ([2], None, [6])
    assert (server.calls.outstanding, server.ended, list(server.calls.legs)) == (0, [sent.leg], [])
    assert (len(server.requests), server.cancelled) == (1, 0)


async def test_the_last_item_that_is_withdrawn_cancels_the_call() -> None:
    server = Doubling(most_rows=8)
    server.gate.clear()
    sent = server.send(item(1), item(2))
    await until(lambda: bool(server.requests))
    sent.withdraw(sent.items[0])
    assert list(server.calls.legs) == [sent.leg]
    sent.withdraw(sent.items[1])
    assert (server.calls.outstanding, list(server.calls.legs), server.ended) == (0, [], [])
    await until(lambda: server.cancelled == 1)
    assert not sent.taken


async def test_what_is_withdrawn_before_the_call_is_made_is_not_asked() -> None:
    server = Doubling(most_rows=8)
    sent = server.send(item(1), item(2, 3))
    sent.withdraw(sent.items[1])
    first, withdrawn = await sent.outcomes()
    assert (values_of(first), withdrawn) == ([2], None)
    assert [list(request.inputs[0].shape) for request in server.requests] == [[1, 1]]
    assert (server.calls.outstanding, server.ended) == (0, [sent.leg])


async def test_what_is_withdrawn_is_not_asked_again_when_its_batch_is_taken_apart() -> None:
    server = Doubling(most_rows=8)
    server.refused[2.0] = BAD
    server.gate.clear()
    sent = server.send(item(1), item(2), item(3))
    await until(lambda: bool(server.requests))
    sent.withdraw(sent.items[0])
    server.gate.set()
    _, bad, good = await sent.outcomes()
    assert isinstance(bad, TriremeError)
    assert values_of(good) == [6]
    shapes = [list(request.inputs[0].shape) for request in server.requests]
    assert shapes == [[3, 1], [1, 1], [1, 1]]
    assert (server.calls.outstanding, server.ended) == (0, [sent.leg])


async def test_a_refusal_after_a_withdrawal_hands_over_the_rest() -> None:
    server = Doubling(most_rows=8)
    server.refused[2.0] = ServerAwayError("full")
    server.gate.clear()
    sent = server.send(item(1), item(2))
    await until(lambda: bool(server.requests))
    sent.withdraw(sent.items[0])
    server.gate.set()
    await until(lambda: bool(server.lost))
    assert [lost for lost, _ in server.lost] == [sent.leg]
    assert sent.call.missing() == [sent.items[1]]
    assert (server.calls.outstanding, list(server.calls.legs)) == (0, [])


async def test_an_answer_counts_where_another_server_was_quicker() -> None:
    slow, quick = Doubling(), Doubling()
    slow.gate.clear()
    sent = slow.send(item(1), item(2))
    await until(lambda: len(slow.requests) == 2)
    hedge = sent.also_to(quick, sent.items[:1])
    await until(lambda: quick.ended == [hedge])
    assert sent.taken == sent.items[:1]
    assert (slow.calls.outstanding, sent.leg.remaining) == (2, 2)
    slow.gate.set()
    assert [values_of(outcome) for outcome in await sent.outcomes()] == [[2], [4]]
    assert (slow.calls.outstanding, slow.ended, list(slow.calls.legs)) == (0, [sent.leg], [])


async def test_an_answer_counts_where_the_item_is_already_withdrawn_from_its_next_hop() -> None:
    slow, quick, following = Doubling(), Doubling(), Doubling()
    slow.gate.clear()
    following.gate.clear()
    sent = slow.send(item(1), item(2))
    await until(lambda: len(slow.requests) == 2)
    sent.also_to(quick, sent.items[:1])
    await until(lambda: sent.taken == sent.items[:1])
    onward = Sent(following, sent.items[:1])
    onward.withdraw(*onward.items)
    slow.gate.set()
    await until(lambda: not sent.call.remaining)
    assert (slow.calls.outstanding, slow.ended, list(slow.calls.legs)) == (0, [sent.leg], [])


async def test_what_was_answered_elsewhere_before_the_call_is_made_is_not_asked() -> None:
    slow, quick = Doubling(), Doubling()
    slow.gate.clear()
    sent = slow.send(item(1), item(2))
    hedge = sent.also_to(quick, sent.items)
    assert sent.call.take(sent.leg, sent.items[0], item(2), 0, 0)
    sent.items[0].payload = item(7)  # for its next hop
    await until(lambda: quick.ended == [hedge])
    assert [request.raw_input_contents[0] for request in quick.requests] == [
        np.array([2], np.float32).tobytes()
    ]
    assert (quick.calls.outstanding, list(quick.calls.legs)) == (0, [])
    assert sent.taken == sent.items[1:]
