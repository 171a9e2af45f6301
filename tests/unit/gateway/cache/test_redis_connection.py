"""Against servers that a test writes: real ones are in tests/integration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hiredis import ProtocolError, ReplyError

from trireme_gateway.cache.redis_address import Endpoint, Login
from trireme_gateway.cache.redis_connection import RedisConnection

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def connected(*scripts: bytes | None, login: Login | None = None) -> AsyncIterator[RedisConnection]:
    """To a server whose n-th connection gets the n-th script: what is answered to whatever comes first, None
    for a hang-up at once."""
    waiting = list(scripts)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = waiting.pop(0)
        if script is not None:
            await reader.read(1 << 16)
            writer.write(script)
            await writer.drain()
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = RedisConnection(Endpoint("127.0.0.1", port), login=login or Login())
    try:
        yield connection
    finally:
        connection.close()
        server.close()
        await asyncio.sleep(0.01)


async def test_replies_come_in_the_order_of_the_commands() -> None:
    async with connected(b"$2\r\nhi\r\n$-1\r\n-NOPERM no\r\n*2\r\n$1\r\na\r\n$-1\r\n") as connection:
        found = await connection.ask([("GET", "a"), ("GET", b"b"), ("SET", "c", 1), ("MGET", "a", "b")])
        assert found[:2] == [b"hi", None]
        assert isinstance(found[2], ReplyError)
        assert found[3] == [b"a", None]


@pytest.mark.parametrize("fault", [None, b"$5\r\nhel", b"!nonsense\r\n"])
async def test_after_a_fault_the_next_pipeline_takes_a_new_connection(fault: bytes | None) -> None:
    async with connected(fault, b"$2\r\nhi\r\n") as connection:
        with pytest.raises((OSError, ProtocolError)):
            async with asyncio.timeout(0.2):
                await connection.ask([("GET", "a")])
        assert await connection.ask([("GET", "a")]) == [b"hi"]


async def test_an_answer_to_a_pipeline_that_was_cancelled_is_never_anothers() -> None:
    async with connected(b"", b"$3\r\nnew\r\n") as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connection.ask([("GET", "old")])
        assert await connection.ask([("GET", "new")]) == [b"new"]


async def test_an_answer_too_many_is_a_fault() -> None:
    async with connected(b"+OK\r\n+OK\r\n") as connection:
        with pytest.raises(ConnectionAbortedError):
            await connection.ask([("GET", "a")])


async def test_a_refused_login_is_raised() -> None:
    async with connected(b"-WRONGPASS no\r\n", login=Login("user", "word")) as connection:
        with pytest.raises(ReplyError, match="WRONGPASS"):
            await connection.ask([("GET", "a")])


async def test_nobody_there_is_a_connection_error() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    with pytest.raises(ConnectionError):
        await RedisConnection(Endpoint("127.0.0.1", port), login=Login()).ask([("GET", "a")])
