"""The gRPC front door on a real server, and a client that speaks bytes to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from tests.unit.gateway.v2.fakes import services
from trireme_common.grpc_server import GrpcServer
from trireme_gateway.context import RequestContext
from trireme_gateway.grpc_front import SERVICE, build_front
from trireme_gateway.services import Services
from trireme_protos.inference import grpc_service_pb2 as pb

Log = list[tuple[RequestContext, str]]


class RecordingLog:
    """An access log that keeps what it is told."""

    def __init__(self) -> None:
        self.begun = 0
        self.finished: Log = []
        self.over = asyncio.Event()

    def begin(self) -> None:
        self.begun += 1

    def finish(self, context: RequestContext, status: str) -> None:
        self.finished.append((context, status))
        self.over.set()


class Door:
    """A client, and what the server told its access log."""

    def __init__(self, channel: grpc.aio.Channel, server: GrpcServer, access_log: RecordingLog) -> None:
        self.channel = channel
        self.server = server
        self.log = access_log.finished
        self.finished = access_log.over

    def call(self, method: str, data: bytes, **keywords: Any) -> Any:
        return self.channel.unary_unary(f"/{SERVICE}/{method}", None, None)(data, **keywords)

    def stream(self, **keywords: Any) -> Any:
        """A call of ModelStreamInfer; bytes are written and read."""
        return self.channel.stream_stream(f"/{SERVICE}/ModelStreamInfer", None, None)(**keywords)

    async def ask(self, method: str, request: Message, answer: type[Any], **keywords: Any) -> Any:
        return answer.FromString(await self.call(method, request.SerializeToString(), **keywords))


@asynccontextmanager
async def door(known: Services | None = None) -> AsyncIterator[Door]:
    access_log = RecordingLog()
    handlers, names = build_front(known or services(), access_log)
    server = GrpcServer("127.0.0.1", 0, handlers, names)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield Door(channel, server, access_log)
            assert access_log.begun == len(access_log.finished)
    finally:
        await server.stop(drain_seconds=0, grace_seconds=0)


def text_request(*texts: bytes, model: str = "sentiment", **keywords: Any) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name=model, id="7", **keywords)
    entry = request.inputs.add(name="text", datatype="BYTES", shape=[len(texts)])
    entry.contents.bytes_contents.extend(texts)
    return request
