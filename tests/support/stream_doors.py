"""A gRPC server whose port serves connections for one stream too, as a stage's does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import grpc
import grpc.aio

from tests.support.http2_peers import METHOD, Echo
from trireme_common.grpc_server import GrpcServer
from trireme_common.http2.connection import StreamOwner
from trireme_common.http2.server import ServerStream

UNARY = "/test.Echo/Unary"
WAITING = "/test.Echo/Waiting"


class Streams:
    """What was served: an owner for every stream, oldest first."""

    def __init__(self, make: Callable[[ServerStream], Echo] = Echo) -> None:
        self.served: list[Echo] = []
        self._make = make

    def serve(self, connection: ServerStream) -> StreamOwner:
        self.served.append(self._make(connection))
        return self.served[-1]


async def _unary(request: bytes, context: object) -> bytes:
    return request


async def _waiting(request: bytes, context: object) -> bytes:
    await asyncio.sleep(30)
    return request


def _handlers() -> grpc.GenericRpcHandler[bytes, bytes]:
    methods: Mapping[str, object] = {
        "Unary": grpc.unary_unary_rpc_method_handler(_unary),  # type: ignore[arg-type]
        "Waiting": grpc.unary_unary_rpc_method_handler(_waiting),  # type: ignore[arg-type]
    }
    return grpc.method_handlers_generic_handler("test.Echo", methods)  # type: ignore[arg-type]


def door_server(streams: Streams, host: str = "127.0.0.1", port: int = 0) -> GrpcServer:
    """Not started yet."""
    return GrpcServer(host, port, [_handlers()], ["test.Echo"], streams={METHOD: streams.serve})


@asynccontextmanager
async def running(streams: Streams, host: str = "127.0.0.1") -> AsyncIterator[GrpcServer]:
    server = door_server(streams, host)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(drain_seconds=0, grace_seconds=0)
