"""Ways into a server: a request out, the bytes of its answer back, many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, Protocol, cast

import grpc
import grpc.aio

from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.load.questions import Door
from trireme_cli.loadtest.http import ProtocolError, Response, ResponseParser
from trireme_common.http2.client import ClientStream
from trireme_common.http2.connection import StreamEnd
from trireme_common.http2.keepalive import Patience
from trireme_common.payloads import in_messages
from trireme_protos.inference import grpc_service_pb2 as oip
from trireme_protos.trireme.v1 import envelope_pb2

_HOST = "127.0.0.1"
_REMAINING_MS = 60_000
_MAX_BYTES = 64 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_BYTES),
    ("grpc.max_send_message_length", _MAX_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
)
_STATE_SECONDS = 30.0
_PATIENCE = Patience(idle_seconds=20.0, answer_seconds=20.0)
STREAM = "/trireme.v1.InferenceService/Infer"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"


class Way(Protocol):
    """An open door. `ask` raises ProtocolError or WrongAnswerError for anything but an answer."""

    async def ask(self, request: bytes) -> bytes: ...


@asynccontextmanager
async def open_door(door: Door, port: int, connections: int, model: str) -> AsyncIterator[Way]:
    """Over HTTP, `connections` kept connections; over gRPC one, on which that many are under way."""
    if door == "http":
        pool = _Pool()
        try:
            await pool.open(port, connections)
            yield pool
        finally:
            pool.close()
        return
    if door == "infer":
        async with grpc.aio.insecure_channel(f"{_HOST}:{port}", options=_OPTIONS) as channel:
            yield Bounded(_Unary(channel), connections)
        return
    stream = _Stream(port, model)
    try:
        await stream.open()
        yield Bounded(stream, connections)
    finally:
        stream.close()


class _Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._parser = ResponseParser(strict=True)
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[Response] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's, they only look like them.
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self, request: bytes) -> asyncio.Future[Response]:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        if self._transport.is_closing():
            self._fail("the server closed a connection that was to be kept")
        else:
            self._transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        try:
            response = self._parser.feed(data)
        except ProtocolError as error:
            self._fail(str(error))
            return
        if response is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the server closed a connection with a request under way: {exc}")

    def _fail(self, why: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ProtocolError(why))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class _Pool:
    """Connections that are handed round; who finds none waits for one."""

    def __init__(self) -> None:
        self._all: list[_Connection] = []
        self._free: asyncio.LifoQueue[_Connection] = asyncio.LifoQueue()

    async def open(self, port: int, number: int) -> None:
        for _ in range(number):
            _, made = await asyncio.get_running_loop().create_connection(_Connection, _HOST, port)
            self._all.append(made)
            self._free.put_nowait(made)

    async def ask(self, request: bytes) -> bytes:
        connection = await self._free.get()
        response = await connection.send(request)
        self._free.put_nowait(connection)
        if response.status != 200:
            raise WrongAnswerError(f"status {response.status}: {response.body[:300]!r}")
        return response.body

    def close(self) -> None:
        for connection in self._all:
            connection.close()


class Bounded:
    """So many requests under way at a time; who comes beyond waits, as for a connection."""

    def __init__(self, way: Way, most: int) -> None:
        self._way = way
        self._turns = asyncio.Semaphore(most)

    async def ask(self, request: bytes) -> bytes:
        async with self._turns:
            return await self._way.ask(request)


class _Unary:
    """ModelInfer, a call a request; the request is the message."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call: Any = channel.unary_unary(MODEL_INFER, None, None)

    async def ask(self, request: bytes) -> bytes:
        try:
            answer = await self._call(request, timeout=_REMAINING_MS / 1000)
        except grpc.aio.AioRpcError as error:
            raise ProtocolError(f"{error.code().name}: {error.details()}") from error
        return oip.ModelInferResponse.FromString(answer).raw_output_contents[0]


class _Outgoing(NamedTuple):
    number: int
    payload: bytes


class _Stream:
    """The stream that a gateway holds: what comes in one round of the loop travels in one message."""

    def __init__(self, port: int, model: str) -> None:
        self._connection = ClientStream(f"{_HOST}:{port}", STREAM, self, _PATIENCE, _MAX_BYTES)
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[int, bytes]] = []
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._next = 0
        self._ready: asyncio.Future[None] = self._loop.create_future()

    async def open(self) -> None:
        """Waits for the endpoint's first word, its state."""
        await self._connection.open()
        await asyncio.wait_for(self._ready, _STATE_SECONDS)

    def close(self) -> None:
        self._connection.abort()

    async def ask(self, request: bytes) -> bytes:
        number, self._next = self._next, self._next + 1
        answer = self._answers[number] = self._loop.create_future()
        if not self._waiting:
            self._loop.call_soon(self._write)
        self._waiting.append((number, request))
        payload = envelope_pb2.Tensors.FromString(await answer)
        return payload.tensors[0].data

    def _write(self) -> None:
        if not self._connection.writable:
            return
        waiting, self._waiting = self._waiting, []
        for part in in_messages([_Outgoing(*each) for each in waiting]):
            envelope = envelope_pb2.Envelope(model=self._model, version="1")
            for number, payload in part:
                envelope.items.add(id=number, remaining_ms=_REMAINING_MS, payload=payload)
            self._connection.send(envelope.SerializeToString())

    # StreamOwner

    def message_received(self, message: bytes) -> None:
        reply = envelope_pb2.Reply.FromString(message)
        if not self._ready.done():
            self._ready.set_result(None)
        for result in reply.results:
            self._settle(result)

    def reading_ended(self) -> None: ...

    def writing_resumed(self) -> None:
        self._write()

    def stream_closed(self, end: StreamEnd) -> None:
        broken = ProtocolError(f"the stream broke: {end.detail}")
        waiting: list[asyncio.Future[Any]] = [self._ready, *self._answers.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(broken)

    def _settle(self, result: envelope_pb2.Result) -> None:
        answer = self._answers.pop(result.id)
        if result.HasField("failure"):
            answer.set_exception(WrongAnswerError(f"{result.failure.code}: {result.failure.detail}"))
        else:
            answer.set_result(result.payload)
