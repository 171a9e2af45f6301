from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.http2_peers import Wire, wire_to
from tests.support.stages import until
from trireme_common.http2.passing import Passing, join

LARGE = 32 * 2**20
"""More than the sockets on the way take together."""


class Behind:
    """A server on a Unix socket that says a word to everybody at once, as gRPC does, and keeps its ends."""

    def __init__(self, word: bytes) -> None:
        self.ends: list[Wire] = []
        self._word = word

    def accept(self) -> Wire:
        behind = self

        class End(Wire):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                behind.ends.append(self)
                self.transport.write(behind._word)

        return End()


class Way:
    """A port that passes everything on to the server behind it."""

    def __init__(self, path: str, first: bytes) -> None:
        self.open: set[asyncio.Transport] = set()
        self.refused = 0
        self._path = path
        self._first = first
        self._tasks: list[asyncio.Task[None]] = []

    def accept(self) -> asyncio.Protocol:
        way = self

        class Front(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                transport.pause_reading()  # type: ignore[attr-defined]
                way._tasks.append(asyncio.create_task(way._join(transport)))  # type: ignore[arg-type]

        return Front()

    async def _join(self, client: asyncio.Transport) -> None:
        near, far = (Passing(self.open.add, self.open.discard) for _ in range(2))
        try:
            await join(client, near, far, self._first, self._path)
        except OSError:
            self.refused += 1
            client.abort()


@asynccontextmanager
async def passed_on(
    word: bytes = b"", first: bytes = b"", *, listens: bool = True
) -> AsyncIterator[tuple[Wire, Behind, Way]]:
    """A client whose connection is passed on, the server behind, and the way between them."""
    path = f"\0trireme-test-{secrets.token_hex(8)}"
    behind = Behind(word)
    way = Way(path, first)
    loop = asyncio.get_running_loop()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    if listens:
        listener.listen(8)
    back = await loop.create_unix_server(behind.accept, sock=listener) if listens else None
    front = await loop.create_server(way.accept, "127.0.0.1", 0)
    wire = Wire()
    async with wire_to(f"127.0.0.1:{front.sockets[0].getsockname()[1]}", wire):
        if listens:
            await until(lambda: bool(behind.ends) and len(way.open) == 2)
        yield wire, behind, way
    await until(lambda: not way.open)
    front.close()
    if back is not None:
        back.close()
    listener.close()


async def test_bytes_go_both_ways_and_the_first_are_not_lost() -> None:
    async with passed_on(b"hello ", b"first ") as (wire, behind, _):
        (end,) = behind.ends
        wire.transport.write(b"second")
        await until(lambda: bytes(end.received) == b"first second")
        end.transport.write(b"back")
        await until(lambda: bytes(wire.received) == b"hello back")


@pytest.mark.parametrize("first", [b"", bytes(LARGE // 4)])
async def test_a_server_that_does_not_read_holds_its_client_back(first: bytes) -> None:
    async with passed_on(first=first) as (wire, behind, way):
        (end,) = behind.ends
        end.transport.pause_reading()
        wire.transport.write(bytes(LARGE))
        sizes: list[int] = []
        # Nothing moves any more once the sockets between are full.
        while len(sizes) < 5 or len(set(sizes[-5:])) > 1:
            await asyncio.sleep(0.005)
            sizes.append(wire.transport.get_write_buffer_size())
        assert sizes[-1] > LARGE // 4
        held = sum(transport.get_write_buffer_size() for transport in way.open)
        assert held <= len(first) + 2**20
        end.transport.resume_reading()
        await until(lambda: len(end.received) == len(first) + LARGE)


async def test_a_client_that_does_not_read_holds_the_server_back() -> None:
    async with passed_on() as (wire, behind, way):
        (end,) = behind.ends
        wire.transport.pause_reading()
        end.transport.write(bytes(LARGE))
        sizes: list[int] = []
        while len(sizes) < 5 or len(set(sizes[-5:])) > 1:
            await asyncio.sleep(0.005)
            sizes.append(end.transport.get_write_buffer_size())
        assert sizes[-1] > LARGE // 4
        assert sum(transport.get_write_buffer_size() for transport in way.open) <= 2**20
        wire.transport.resume_reading()
        await until(lambda: len(wire.received) == LARGE)


@pytest.mark.parametrize("leave", ["close", "abort", "write_eof"])
@pytest.mark.parametrize("who", ["client", "server"])
async def test_who_leaves_takes_the_other_side_along(who: str, leave: str) -> None:
    async with passed_on() as (wire, behind, way):
        (end,) = behind.ends
        getattr((wire if who == "client" else end).transport, leave)()
        await until(lambda: wire.lost.is_set() and end.lost.is_set())
        assert not way.open


async def test_what_was_written_before_the_end_arrives() -> None:
    async with passed_on() as (wire, behind, _):
        (end,) = behind.ends
        wire.transport.write(bytes(LARGE // 4))
        wire.transport.close()
        await until(end.lost.is_set)
        assert len(end.received) == LARGE // 4


class Closing(Behind):
    """A server that leaves at once."""

    def accept(self) -> Wire:
        class End(Wire):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                self.transport.abort()

        return End()


async def test_a_server_that_leaves_at_once_takes_its_client_along() -> None:
    path = f"\0trireme-test-{secrets.token_hex(8)}"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    loop = asyncio.get_running_loop()
    back = await loop.create_unix_server(Closing(b"").accept, sock=listener)
    way = Way(path, b"abc")
    front = await loop.create_server(way.accept, "127.0.0.1", 0)
    for _ in range(5):
        wire = Wire()
        async with wire_to(f"127.0.0.1:{front.sockets[0].getsockname()[1]}", wire):
            await until(wire.lost.is_set)
    await until(lambda: not way.open)
    front.close()
    back.close()
    listener.close()


async def test_without_a_server_behind_the_client_is_refused() -> None:
    async with passed_on(listens=False) as (wire, _, way):
        await until(wire.lost.is_set)
        assert way.refused == 1
        assert not wire.received


async def test_a_client_that_has_left_before_is_not_passed_on() -> None:
    opened: list[asyncio.Transport] = []
    lost, ended = asyncio.Event(), asyncio.Event()
    path = f"\0trireme-test-{secrets.token_hex(8)}"

    class Front(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            transport.abort()  # type: ignore[attr-defined]

        def connection_lost(self, error: Exception | None) -> None:
            lost.set()
            self._joining = asyncio.create_task(self._join())

        async def _join(self) -> None:
            near, far = (Passing(opened.append, opened.remove) for _ in range(2))
            await join(self.transport, near, far, b"first", path)  # type: ignore[arg-type]
            ended.set()

    front = await asyncio.get_running_loop().create_server(Front, "127.0.0.1", 0)
    async with wire_to(f"127.0.0.1:{front.sockets[0].getsockname()[1]}", Wire()), asyncio.timeout(5):
        await lost.wait()
        await ended.wait()
    assert opened == []  # nobody would be told that it has gone, and the end of the server would wait for it
    front.close()
