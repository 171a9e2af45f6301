from __future__ import annotations

import asyncio

import pytest

from tests.support.stages import until
from tests.unit.gateway.hop.oip.fakes import BAD, Doubling, item, values_of
from trireme_common.errors import Code, TriremeError
from trireme_gateway.hop.oip.ports import ServerAwayError


async def test_every_item_gets_its_answer() -> None:
    server = Doubling()
    outcomes = await server.ask(item(1), item(2, 3))
    assert [values_of(outcome) for outcome in outcomes] == [[2], [4, 6]]
    assert [(request.model_name, request.model_version, request.id) for request in server.requests] == [
        ("m", "3", "r1")
    ] * 2
    assert (server.calls.outstanding, server.calls.sent, len(server.ended)) == (0, 2, 1)
    assert not server.calls.legs


async def test_a_model_that_batches_gets_one_call() -> None:
    server = Doubling(most_rows=8)
    outcomes = await server.ask(item(1), item(2, 3), item(4))
    assert [values_of(outcome) for outcome in outcomes] == [[2], [4, 6], [8]]
    assert [list(request.inputs[0].shape) for request in server.requests] == [[4, 1]]


async def test_one_bad_item_of_a_batch_fails_alone() -> None:
    server = Doubling(most_rows=8)
    server.refused[2.0] = BAD
    good, bad, other = await server.ask(item(1), item(2), item(3))
    assert (values_of(good), values_of(other)) == ([2], [6])
    assert isinstance(bad, TriremeError)
    assert (bad.code, bad.detail) == (BAD.code, BAD.detail)
    assert len(server.requests) == 4


async def test_what_items_would_share_is_not_asked_again() -> None:
    server = Doubling(most_rows=8)
    server.refused[2.0] = TriremeError(Code.OVERLOADED, "full")
    outcomes = await server.ask(item(1), item(2))
    assert [outcome.code for outcome in outcomes if isinstance(outcome, TriremeError)] == [
        Code.OVERLOADED
    ] * 2
    assert len(server.requests) == 1


async def test_a_payload_that_is_none_fails_alone() -> None:
    server = Doubling()
    good, bad = await server.ask(item(1), b"\xff")
    assert values_of(good) == [2]
    assert isinstance(bad, TriremeError)
    assert len(server.requests) == 1


async def test_the_time_that_is_left_and_the_trace_go_along() -> None:
    server = Doubling()
    await server.send(item(1), seconds=5, trace="00-a-b-01").outcomes()
    assert 4 < server.seconds[0] <= 5
    assert server.traces == ["00-a-b-01"]


async def test_a_leg_taken_back_is_cancelled_and_forgotten() -> None:
    server = Doubling()
    server.gate.clear()
    sent = server.send(item(1), item(2))
    await until(lambda: len(server.requests) == 2)
    assert server.calls.outstanding == 2
    server.calls.drop(sent.leg)
    server.calls.drop(sent.leg)
    assert (server.calls.outstanding, list(server.calls.legs)) == (0, [])
    await until(lambda: server.cancelled == 2)
    assert not sent.taken
    assert sent.call.missing() == sent.items


async def test_a_refusal_hands_over_the_leg_with_what_it_lacks() -> None:
    server = Doubling()
    server.refused[2.0] = ServerAwayError("full")
    sent = server.send(item(2), item(1))
    await until(lambda: bool(server.lost))
    assert server.lost == [(sent.leg, server.refused[2.0])]
    assert server.calls.outstanding == 0
    assert not server.calls.legs
    assert sent.items[0] in sent.call.missing()
    assert sent.items[0] not in sent.taken


async def test_a_refusal_in_a_batch_taken_apart_is_one_too() -> None:
    server = Doubling(most_rows=8)
    server.refused = {3.0: BAD, 2.0: ServerAwayError("full")}
    sent = server.send(item(2), item(3))
    await until(lambda: bool(server.lost))
    assert [lost for lost, _ in server.lost] == [sent.leg]


async def test_the_callers_own_deadline_is_left_to_the_caller() -> None:
    server = Doubling()
    server.refused[1.0] = TriremeError(Code.DEADLINE_EXCEEDED, "late")
    sent = server.send(item(1), seconds=0)
    await until(lambda: bool(server.requests))
    await asyncio.sleep(0)
    assert list(server.calls.legs) == [sent.leg]
    assert server.words == 0
    assert not sent.taken
    sent.withdraw(*sent.items)
    assert (server.calls.outstanding, list(server.calls.legs)) == (0, [])


async def test_a_deadline_of_the_servers_is_its_answer() -> None:
    server = Doubling()
    server.refused[1.0] = TriremeError(Code.DEADLINE_EXCEEDED, "the queue gave up")
    (outcome,) = await server.ask(item(1))
    assert isinstance(outcome, TriremeError)
    assert outcome.code is Code.DEADLINE_EXCEEDED


async def test_everything_can_be_taken_back_at_once() -> None:
    server = Doubling()
    server.gate.clear()
    legs = [server.send(item(1)).leg, server.send(item(2), item(3)).leg]
    await until(lambda: len(server.requests) == 3)
    assert server.calls.clear() == legs
    assert server.calls.outstanding == 0
    await until(lambda: server.cancelled == 3)


@pytest.mark.parametrize("most_rows", [0, 8])
async def test_what_nobody_foresaw_fails_the_items_and_is_logged(most_rows: int) -> None:
    class Broken(Doubling):
        async def infer(self, message: bytes, seconds: float, traceparent: str) -> bytes:
            raise RuntimeError("secret")

    outcomes = await Broken(most_rows).ask(item(1), item(2))
    for outcome in outcomes:
        assert isinstance(outcome, TriremeError)
        assert outcome.code is Code.INTERNAL
        assert "secret" not in outcome.detail
