"""Peers of one-stream connections, one by an independent implementation of HTTP/2 (h2), and owners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import cast

import h2.config
import h2.connection
import h2.events
import h2.settings

from trireme_common.http2.client import ClientStream
from trireme_common.http2.connection import StreamEnd
from trireme_common.http2.frames import HEAD, ONE_STREAM, PREFACE, SETTING, SETTINGS, frame
from trireme_common.http2.keepalive import Patience
from trireme_common.http2.messages import prefix
from trireme_common.http2.server import ServerStream

METHOD = "/test.Echo/Stream"
PATIENCE = Patience(idle_seconds=30.0, answer_seconds=30.0)
LARGEST = 8 * 2**20
ANSWER = ((":status", "200"), ("content-type", "application/grpc"))


def framed(message: bytes) -> bytes:
    """A message as it stands in DATA frames."""
    return prefix(len(message)) + message


class Owner:
    """StreamOwner that keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.ends: list[StreamEnd] = []
        self.told: list[str] = []
        """Everything in its order, by the names of the methods."""

    def message_received(self, message: bytes) -> None:
        self.messages.append(message)
        self.told.append("message_received")

    def reading_ended(self) -> None:
        self.told.append("reading_ended")

    def writing_resumed(self) -> None:
        self.told.append("writing_resumed")

    def stream_closed(self, end: StreamEnd) -> None:
        self.ends.append(end)
        self.told.append("stream_closed")


class Echo(Owner):
    """Serves a stream: every message is sent back, and the end is answered with the end."""

    def __init__(self, connection: ServerStream) -> None:
        super().__init__()
        self.connection = connection

    def message_received(self, message: bytes) -> None:
        super().message_received(message)
        self.connection.send(message)

    def reading_ended(self) -> None:
        super().reading_ended()
        self.connection.end(StreamEnd(0, ""))


class Wire(asyncio.Protocol):
    """One end of a connection that a test speaks over by hand."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += data

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


class H2Peer(Wire):
    """An end of a connection as h2 plays it, which keeps the events.

    `marked` asks for a connection of one stream, `gives_back` says whether it gives window back as it reads.
    """

    def __init__(
        self,
        *,
        client: bool,
        marked: bool = False,
        gives_back: bool = True,
        settings: Mapping[int, int] | None = None,
        react: Callable[[H2Peer, h2.events.Event], None] = lambda peer, event: None,
    ) -> None:
        super().__init__()
        self.events: list[h2.events.Event] = []
        self._marked = marked
        self._gives_back = gives_back
        self.data = bytearray()
        self._react = react
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=client, header_encoding="utf-8")
        )
        self.h2.local_settings = h2.settings.Settings(client=client, initial_values=dict(settings or {}))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.h2.initiate_connection()
        if self._marked:  # by hand, for hyperframe writes no more than a byte of an identifier
            opening = self.h2.data_to_send()
            assert opening.startswith(PREFACE)
            given = opening[len(PREFACE) + HEAD.size :]
            mark = SETTING.pack(ONE_STREAM, 1)
            self.transport.write(PREFACE + frame(SETTINGS, 0, 0, given + mark))
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived):
                self.data += event.data
                if self._gives_back and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self._react(self, event)
        self.flush()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def saw(self, kind: type[h2.events.Event]) -> bool:
        return any(isinstance(event, kind) for event in self.events)

    def say(self, data: bytes, *, end: bool = False, padding: int | None = None) -> None:
        """Sends what the windows allow at once."""
        size = self.h2.max_outbound_frame_size - 256
        for start in range(0, len(data), size):
            self.h2.send_data(1, data[start : start + size], pad_length=padding)
        if end:
            self.h2.end_stream(1)
        self.flush()


@asynccontextmanager
async def listening(make: Callable[[], asyncio.Protocol]) -> AsyncIterator[str]:
    """An address where every connection gets a protocol of its own."""
    transports: list[asyncio.BaseTransport] = []

    def accept() -> asyncio.Protocol:
        protocol = make()
        made = protocol.connection_made

        def connection_made(transport: asyncio.BaseTransport) -> None:
            transports.append(transport)
            made(transport)

        protocol.connection_made = connection_made  # type: ignore[method-assign]
        return protocol

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    try:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"
    finally:
        server.close()
        for transport in transports:
            cast(asyncio.Transport, transport).abort()
        await server.wait_closed()
        await asyncio.sleep(0)


@asynccontextmanager
async def opened(
    address: str,
    owner: Owner,
    *,
    method: str = METHOD,
    patience: Patience = PATIENCE,
    largest: int = LARGEST,
) -> AsyncIterator[ClientStream]:
    """A stream of ours to `address`."""
    stream = ClientStream(address, method, owner, patience, largest)
    await stream.open()
    try:
        yield stream
    finally:
        stream.abort()
        await asyncio.sleep(0)


@asynccontextmanager
async def wire_to(address: str, wire: Wire) -> AsyncIterator[None]:
    """A connection to `address` that `wire` speaks over."""
    host, _, port = address.rpartition(":")
    await asyncio.get_running_loop().create_connection(lambda: wire, host.strip("[]"), int(port))
    try:
        yield
    finally:
        if not wire.lost.is_set():
            wire.transport.abort()
        await wire.lost.wait()
