"""A stage's streaming method: as a connection for one stream brings it, and as any gRPC client calls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError

from trireme_common.errors import TriremeError
from trireme_common.grpc_server import GrpcServer
from trireme_common.grpc_status import STATUS
from trireme_common.http2.connection import StreamEnd
from trireme_common.http2.server import ServerStream
from trireme_common.stage_stream import StageHandler, StageStream, StateSource
from trireme_common.tracing import NO_TRACER, Tracer

logger = structlog.get_logger(__name__)

_OPEN = Callable[[Callable[[], None], Callable[[], None]], StageStream]
"""Makes the state of a stream from its `write` and its `wake`."""


class StageServicer:
    """Serves the streaming method of a stage."""

    def __init__(
        self, handler: StageHandler, source: StateSource, tracer: Tracer = NO_TRACER, stage: str = ""
    ) -> None:
        """`stage` is the name of the spans, where `tracer` records any."""
        self._handler = handler
        self._source = source
        self._tracer = tracer
        self._stage = stage

    def server(
        self,
        host: str,
        port: int,
        service: str,
        method: str,
        others: Mapping[str, grpc.GenericRpcHandler[bytes, bytes]] | None = None,
    ) -> GrpcServer:
        """A server of the method, on connections for one stream too, beside `others` by their services.

        Raises SettingsError where the port is taken.
        """
        others = others or {}
        return GrpcServer(
            host,
            port,
            [self.handlers(service, method), *others.values()],
            [service, *others],
            streams={f"/{service}/{method}": lambda connection: _Hop(connection, self._open)},
        )

    def handlers(self, service: str, method: str) -> grpc.GenericRpcHandler[bytes, bytes]:
        """Handler to register with a grpc.aio server; requests and answers are raw bytes."""
        return grpc.method_handlers_generic_handler(
            service, {method: grpc.stream_stream_rpc_method_handler(self._exchange)}
        )

    def _open(self, write: Callable[[], None], wake: Callable[[], None]) -> StageStream:
        return StageStream(
            self._handler, self._source, write=write, wake=wake, tracer=self._tracer, stage=self._stage
        )

    async def _exchange(
        self, messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> None:
        """One task reads the call and one writes it: concurrent writes kill it."""
        wake = asyncio.Event()
        wake.set()
        stream = self._open(wake.set, wake.set)
        failure: Exception | None = None
        try:
            # As a group, because a stream of which only one side lives would look open and answer nothing.
            async with asyncio.TaskGroup() as group:
                group.create_task(_read_all(stream, messages))
                group.create_task(_write_all(stream, wake, context.write))
        except ExceptionGroup as failures:
            failure = failures.exceptions[0]
        finally:
            stream.abandon()
        if failure is not None and not context.done():
            status, detail = _explain(failure)
            await context.abort(status, detail)


async def _read_all(stream: StageStream, messages: AsyncIterator[bytes]) -> None:
    async for data in messages:
        stream.receive(data)
    stream.end_reading()


async def _write_all(
    stream: StageStream, wake: asyncio.Event, write: Callable[[bytes], Awaitable[None]]
) -> None:
    ended = False
    while not ended:
        await wake.wait()
        wake.clear()
        ended = stream.ended
        for message in stream.messages():
            await write(message)


class _Hop:
    """StreamOwner of a gateway's stream."""

    def __init__(self, connection: ServerStream, open_stream: _OPEN) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._over = False
        self._stream = open_stream(self._write, self._wake)
        self._wake()  # the state is the first word

    def message_received(self, message: bytes) -> None:
        if self._over:
            return
        try:
            self._stream.receive(message)
        except Exception as error:  # the last guard: one stream ends, the others go on
            self._fail(error)

    def reading_ended(self) -> None:
        self._stream.end_reading()

    def writing_resumed(self) -> None:
        self._wake()

    def stream_closed(self, end: StreamEnd) -> None:
        self._over = True
        self._stream.abandon()

    def _wake(self) -> None:
        """Writes in the loop's next round, together with what comes until then."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._awake)

    def _awake(self) -> None:
        self._scheduled = False
        self._write()

    def _write(self) -> None:
        if self._over or not self._connection.writable:
            return
        ended = self._stream.ended
        try:
            for message in self._stream.messages():
                self._connection.send(message)
        except Exception as error:  # as above
            self._fail(error)
            return
        if ended:
            self._over = True
            self._connection.end(StreamEnd(grpc.StatusCode.OK.value[0], ""))

    def _fail(self, error: Exception) -> None:
        self._over = True
        self._stream.abandon()
        status, detail = _explain(error)
        self._connection.end(StreamEnd(status.value[0], detail))


def _explain(failure: Exception) -> tuple[grpc.StatusCode, str]:
    """What the caller is told."""
    if isinstance(failure, TriremeError):
        return STATUS[failure.code], failure.detail
    if isinstance(failure, DecodeError):
        return grpc.StatusCode.INVALID_ARGUMENT, "not a trireme.v1.Envelope message"
    logger.error("stream_failed", kind=type(failure).__name__)
    return grpc.StatusCode.INTERNAL, "internal error"
