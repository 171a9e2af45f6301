"""One endpoint asked over gRPC: what it tells, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.stage_process import free_port
from trireme_common.grpc_server import GrpcServer
from trireme_gateway.statistics.endpoint import ask_endpoint
from trireme_gateway.statistics.model_statistics import Duration
from trireme_gateway.statistics.summary import Unanswered
from trireme_protos.inference import grpc_service_pb2 as pb

SERVICE = "inference.GRPCInferenceService"
Call = Callable[[bytes, Any], Awaitable[bytes]]


@asynccontextmanager
async def endpoint(call: Call) -> AsyncIterator[str]:
    """Address of a server whose ModelStatistics is `call`."""
    handler = grpc.unary_unary_rpc_method_handler(call)
    handlers = [grpc.method_handlers_generic_handler(SERVICE, {"ModelStatistics": handler})]
    server = GrpcServer("127.0.0.1", 0, handlers, [SERVICE])
    await server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop(drain_seconds=0, grace_seconds=0)


def aborting(code: grpc.StatusCode) -> Call:
    async def abort(data: bytes, context: Any) -> bytes:
        await context.abort(code, "no")
        return b""

    return abort


async def test_a_message_becomes_values() -> None:
    seen = pb.ModelStatisticsRequest()

    async def tell(data: bytes, _: Any) -> bytes:
        seen.MergeFromString(data)
        stats = pb.ModelStatistics(
            name="m", version="3", last_inference=9, inference_count=7, execution_count=5
        )
        stats.inference_stats.success.CopyFrom(pb.StatisticDuration(count=4, ns=40))
        stats.response_stats["0"].empty_response.count = 1
        stats.batch_stats.add(batch_size=8).compute_infer.CopyFrom(pb.StatisticDuration(count=2, ns=20))
        stats.memory_usage.add(type="CPU", id=0, byte_size=100)
        return pb.ModelStatisticsResponse(model_stats=[stats]).SerializeToString()

    async with endpoint(tell) as address:
        (found,) = await ask_endpoint(address, "m", "3", 5.0)
    assert (seen.name, seen.version) == ("m", "3")
    assert (found.name, found.version, found.last_inference_ms) == ("m", "3", 9)
    assert (found.inferences, found.executions) == (7, 5)
    assert found.inference["success"] == Duration(4, 40)
    assert found.inference["cache_miss"] == Duration()
    assert found.responses["0"]["empty_response"] == Duration(1, 0)
    assert found.batches[8]["compute_infer"] == Duration(2, 20)
    assert found.memory == {("CPU", 0): 100}


@pytest.mark.parametrize("code", [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT])
async def test_an_endpoint_without_the_model_has_nothing_to_tell(code: grpc.StatusCode) -> None:
    async with endpoint(aborting(code)) as address:
        assert await ask_endpoint(address, "m", "", 5.0) == []


async def garbage(data: bytes, _: Any) -> bytes:
    return b"\xff\xff"


async def never(data: bytes, _: Any) -> bytes:
    await asyncio.Event().wait()
    return b""


@pytest.mark.parametrize(
    ("call", "seconds"),
    [(aborting(grpc.StatusCode.UNAVAILABLE), 5.0), (garbage, 5.0), (never, 0.05)],
    ids=["unavailable", "garbage", "silent"],
)
async def test_an_endpoint_that_tells_nothing_is_unanswered(call: Call, seconds: float) -> None:
    async with endpoint(call) as address:
        with pytest.raises(Unanswered, match=address):
            await ask_endpoint(address, "", "", seconds)


async def test_nobody_there_is_unanswered() -> None:
    with pytest.raises(Unanswered):
        await ask_endpoint(f"127.0.0.1:{free_port()}", "", "", 5.0)
