from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.stages import until
from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_gateway.hop.calls import HopCall, Key, Leg
from trireme_gateway.hop.oip.exchange import ServerCalls
from trireme_gateway.hop.oip.models import Served
from trireme_gateway.hop.oip.ports import ServerAwayError
from trireme_gateway.hop.ports import HopAnswer, NoObserver
from trireme_protos.inference import grpc_service_pb2 as pb

BAD = TriremeError(Code.INVALID_ARGUMENT, "a row is bad")


def item(*values: float) -> bytes:
    return encode_tensors([Tensor.of("x", np.array([[value] for value in values], np.float32))])


def values_of(outcome: object) -> list[float]:
    assert isinstance(outcome, bytes), outcome
    (tensor,) = decode_tensors(outcome)
    found: list[float] = tensor.array().ravel().tolist()
    return found


class Doubling:
    """Server and listener: doubles every value, refuses calls with one in `refused`, once `gate` is open."""

    def __init__(self, most_rows: int = 0) -> None:
        self.most_rows = most_rows
        self.refused: dict[float, TriremeError] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.requests: list[pb.ModelInferRequest] = []
        self.seconds: list[float] = []
        self.traces: list[str] = []
        self.ended: list[Leg] = []
        self.lost: list[tuple[Leg, TriremeError]] = []
        self.words = 0
        self.cancelled = 0
        self.calls = ServerCalls("inference", self, NoObserver(), self)

    def served(self, key: Key) -> Served:
        return Served(key[1], self.most_rows)

    async def infer(self, message: bytes, seconds: float, traceparent: str) -> bytes:
        request = pb.ModelInferRequest.FromString(message)
        self.requests.append(request)
        self.seconds.append(seconds)
        self.traces.append(traceparent)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        values = np.frombuffer(request.raw_input_contents[0], np.float32)
        for value, error in self.refused.items():
            if value in values:
                raise error
        answer = pb.ModelInferResponse(raw_output_contents=[(values * 2).tobytes()])
        answer.outputs.add(name="y", datatype="FP32", shape=request.inputs[0].shape)
        return answer.SerializeToString()

    def spoke(self, now: float) -> None:
        self.words += 1

    def finished(self, legs: Sequence[Leg], now: float) -> None:
        self.ended.extend(legs)

    def away(self, leg: Leg, error: ServerAwayError) -> None:
        self.lost.append((leg, error))

    def drop(self, leg: Leg, now: float) -> None:
        self.calls.drop(leg)

    def send(self, *payloads: bytes, seconds: float = 30.0, trace: str = "") -> Leg:
        future: asyncio.Future[HopAnswer] = asyncio.get_running_loop().create_future()
        call = HopCall(("m", "3"), payloads, time.monotonic() + seconds, "r1", future, trace)
        leg = Leg(call, range(len(payloads)), self, 0.0)
        call.legs.append(leg)
        self.calls.add(leg)
        return leg

    async def ask(self, *payloads: bytes) -> list[bytes | TriremeError]:
        return (await self.send(*payloads).call.future).outcomes


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
    await server.send(item(1), seconds=5, trace="00-a-b-01").call.future
    assert 4 < server.seconds[0] <= 5
    assert server.traces == ["00-a-b-01"]


async def test_a_leg_taken_back_is_cancelled_and_forgotten() -> None:
    server = Doubling()
    server.gate.clear()
    leg = server.send(item(1), item(2))
    await until(lambda: len(server.requests) == 2)
    assert server.calls.outstanding == 2
    server.calls.drop(leg)
    server.calls.drop(leg)
    assert (server.calls.outstanding, list(server.calls.legs)) == (0, [])
    await until(lambda: server.cancelled == 2)
    assert not leg.call.future.done()


async def test_a_refusal_hands_over_the_leg_with_what_it_lacks() -> None:
    server = Doubling()
    server.refused[2.0] = ServerAwayError("full")
    leg = server.send(item(2), item(1))
    await until(lambda: bool(server.lost))
    assert server.lost == [(leg, server.refused[2.0])]
    assert server.calls.outstanding == 0
    assert not server.calls.legs
    assert 0 in leg.call.missing()


async def test_a_refusal_in_a_batch_taken_apart_is_one_too() -> None:
    server = Doubling(most_rows=8)
    server.refused = {3.0: BAD, 2.0: ServerAwayError("full")}
    leg = server.send(item(2), item(3))
    await until(lambda: bool(server.lost))
    assert [lost for lost, _ in server.lost] == [leg]


async def test_the_callers_own_deadline_is_left_to_the_caller() -> None:
    server = Doubling()
    server.refused[1.0] = TriremeError(Code.DEADLINE_EXCEEDED, "late")
    leg = server.send(item(1), seconds=0)
    await until(lambda: bool(server.requests))
    await asyncio.sleep(0)
    assert list(server.calls.legs) == [leg]
    assert server.words == 0
    server.calls.drop(leg)


async def test_a_deadline_of_the_servers_is_its_answer() -> None:
    server = Doubling()
    server.refused[1.0] = TriremeError(Code.DEADLINE_EXCEEDED, "the queue gave up")
    (outcome,) = await server.ask(item(1))
    assert isinstance(outcome, TriremeError)
    assert outcome.code is Code.DEADLINE_EXCEEDED


async def test_everything_can_be_taken_back_at_once() -> None:
    server = Doubling()
    server.gate.clear()
    legs = [server.send(item(1)), server.send(item(2), item(3))]
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
