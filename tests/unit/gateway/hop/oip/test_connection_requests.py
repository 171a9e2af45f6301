"""Requests that reach a foreign server together: one does not share what becomes of another."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import grpc.aio
from google.protobuf.message import Message

from tests.support.stages import until
from tests.support.triton_server import TritonModels, triton_server
from tests.unit.gateway.hop.fakes import items_of
from tests.unit.gateway.hop.oip.test_connection import client_of, item
from trireme_gateway.hop.ports import HopItem
from trireme_protos.inference import grpc_service_pb2 as pb

KEY = ("times", "1")


class Full(TritonModels):
    """Takes two calls at once, and refuses any more until it is let go on."""

    taken = 0

    async def infer(
        self, request: pb.ModelInferRequest, context: grpc.aio.ServicerContext[Message, Message]
    ) -> Message:
        self.taken += 1
        if self.taken > 2:
            self.gate.set()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
        return await super().infer(request, context)


class Ignoring:
    """Taker of items whose outcomes are looked at where they are."""

    def took(self, items: Sequence[HopItem], now: float) -> None: ...


def request_of(
    name: str, items: int, seconds: float = 20, priority: int = 0, trace: str = ""
) -> list[HopItem]:
    payloads = [item(number) for number in range(items)]
    return items_of(*payloads, request_id=name, seconds=seconds, priority=priority, traceparent=trace)


async def test_each_is_asked_by_itself() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    first = request_of("one", 2, seconds=10, priority=2, trace=trace)
    second = request_of("two", 2, seconds=100)
    async with triton_server(TritonModels(max_batch_size=8)) as server, client_of(server) as client:
        items = [first[0], second[0], first[1], second[1]]
        client.send(KEY, items, Ignoring())
        await until(lambda: all(isinstance(item.outcome, bytes) for item in items))
        models = server.models
        left = dict(zip([request.id for request in models.requests], models.remaining, strict=True))
        assert sorted(left) == ["one", "two"]
        assert models.shapes == [[2, 4]] * 2
        assert left["one"] is not None
        assert left["one"] < 11
        assert left["two"] is not None
        assert left["two"] > 50
        priorities = {request.id: request.parameters["priority"].uint64_param for request in models.requests}
        assert priorities == {"one": 2, "two": 0}
        assert [value for key, value in models.metadata if key == "traceparent"] == [trace]


async def test_a_refusal_is_one_requests_alone() -> None:
    models = Full()
    models.gate.clear()
    async with triton_server(models) as server, client_of(server) as client:
        items = [one for name in "abc" for one in request_of(name, 1)]
        client.send(KEY, items, Ignoring())
        await until(lambda: all(item.outcome is not None for item in items))
        assert sorted(isinstance(item.outcome, bytes) for item in items) == [False, True, True]
        assert server.models.cancelled == 0


async def test_one_that_leaves_cancels_its_own_call() -> None:
    async with triton_server() as server, client_of(server) as client:
        server.models.gate.clear()
        leaving, staying = request_of("a", 1), request_of("b", 1)
        client.send(KEY, [*leaving, *staying], Ignoring())
        await until(lambda: len(server.models.requests) == 2)
        client.withdraw(leaving)
        await until(lambda: server.models.cancelled == 1)
        server.models.gate.set()
        await until(lambda: isinstance(staying[0].outcome, bytes))
        assert client.idle
