"""A server of calls without a network, and who sends to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from tests.unit.gateway.hop.fakes import items_of
from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_gateway.hop.calls import HopCall, Leg
from trireme_gateway.hop.oip.exchange import ServerCalls
from trireme_gateway.hop.oip.models import Served
from trireme_gateway.hop.oip.ports import ServerAwayError
from trireme_gateway.hop.ports import HopItem, Key, NoObserver
from trireme_protos.inference import grpc_service_pb2 as pb

BAD = TriremeError(Code.INVALID_ARGUMENT, "a row is bad")


def item(*values: float) -> bytes:
    return encode_tensors([Tensor.of("x", np.array([[value] for value in values], np.float32))])


def values_of(outcome: object) -> list[float]:
    assert isinstance(outcome, bytes), outcome
    (tensor,) = decode_tensors(outcome)
    found: list[float] = tensor.array().ravel().tolist()
    return found


class Sent:
    """Taker and owner of one call that was sent to one server."""

    def __init__(self, server: Doubling, items: Sequence[HopItem]) -> None:
        self.items = items
        self.taken: list[HopItem] = []
        self.call = HopCall(("m", "3"), items, self, self)
        self.leg = self.also_to(server, items)
        self._over = asyncio.Event()

    def also_to(self, server: Doubling, items: Sequence[HopItem]) -> Leg:
        leg = Leg(self.call, items, server, 0.0)
        self.call.legs.append(leg)
        server.calls.add(leg)
        return leg

    def took(self, items: Sequence[HopItem], now: float) -> None:
        self.taken.extend(items)

    def over(self, call: HopCall, now: float) -> None:
        for leg in call.legs:
            leg.carrier.drop(leg, now)
        call.legs.clear()
        self._over.set()

    def withdraw(self, *items: HopItem) -> None:
        self.call.withdraw(items, 0.0)

    async def outcomes(self) -> list[bytes | TriremeError | None]:
        """Of every item; those that were not withdrawn are taken, and once."""
        async with asyncio.timeout(20):
            await self._over.wait()
        answered = [item for item in self.items if item.outcome is not None]
        assert sorted(map(id, self.taken)) == sorted(map(id, answered))
        return [item.outcome for item in self.items]


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
        for leg in legs:
            leg.call.legs.remove(leg)

    def away(self, leg: Leg, error: ServerAwayError) -> None:
        self.lost.append((leg, error))

    def drop(self, leg: Leg, now: float) -> None:
        self.calls.drop(leg)

    def withdraw(self, leg: Leg, items: Sequence[HopItem], now: float) -> None:
        self.calls.withdraw(leg, items)

    def send(self, *payloads: bytes, seconds: float = 30.0, trace: str = "") -> Sent:
        return Sent(self, items_of(*payloads, request_id="r1", seconds=seconds, traceparent=trace))

    async def ask(self, *payloads: bytes) -> list[bytes | TriremeError | None]:
        return await self.send(*payloads).outcomes()
