"""Outcomes of gRPC calls, good and bad."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import grpc
import grpc.aio

from trireme_cli.loadtest.grpc_caller import grpc_callers
from trireme_cli.loadtest.http import Response
from trireme_cli.loadtest.tally import Lost
from trireme_cli.up.ports import PortAllocator


async def _answer(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    """The request's own bytes, but for one that asks to be refused."""
    if request == b"full":
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full")
    assert ("x-key", "k") in [tuple(pair) for pair in context.invocation_metadata() or ()]
    return request


@asynccontextmanager
async def served() -> AsyncGenerator[str, None]:
    server = grpc.aio.server()
    handlers = {"ModelInfer": grpc.unary_unary_rpc_method_handler(_answer)}
    service = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers)
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_answers_and_refusals() -> None:
    async with served() as address, grpc_callers(address, {"x-key": "k"}, 30) as make:
        assert await make().ask(b"hello") == Response(200, b"", b"hello")
        assert await make().ask(b"full") == Lost("gRPC RESOURCE_EXHAUSTED", "the queue is full")


async def test_nobody_listens() -> None:
    address = f"127.0.0.1:{PortAllocator().free('127.0.0.1')}"
    async with grpc_callers(address, {}, 30) as make:
        outcome = await make().ask(b"hello")
    assert isinstance(outcome, Lost)
    assert outcome.kind == "connect"
