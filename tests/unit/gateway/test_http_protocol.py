from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from trireme_gateway.http_protocol import MAX_HEADER_BYTES, BoundedHttpProtocol
from trireme_gateway.http_server import HttpServer
from trireme_gateway.listening import listen


async def echo_size(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(str(len(body)))(scope, receive, send)


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    sock = listen("127.0.0.1", 0)
    http = HttpServer(echo_size, grace_seconds=1)
    serving = asyncio.create_task(http.run_on(sock))
    try:
        yield sock.getsockname()[1]
    finally:
        await http.stop(serving)


async def ask(port: int, *parts: bytes) -> bytes:
    """Everything the server says on one connection until it closes it, or answers all there is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


HEAD = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"


async def test_requests_and_bodies_of_any_size_are_answered() -> None:
    async with server() as port:
        assert b"200 OK" in await ask(port, HEAD + b"\r\n")
        for size in (1, MAX_HEADER_BYTES - 100, MAX_HEADER_BYTES * 5):
            post = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % size
            answer = await ask(port, post + b"x" * size)
            assert answer.endswith(b"\r\n\r\n%d" % size)


@pytest.mark.parametrize("answered", [True, False])
async def test_headers_behind_a_large_body_have_the_same_limit(answered: bool) -> None:
    """Also where the body's request was answered before all of it came."""

    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        await (PlainTextResponse("done") if answered else echo_size)(scope, receive, send)

    protocol, transport, _ = connect(hasty)
    size = 4 * MAX_HEADER_BYTES
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size
    protocol.data_received(post + b"x" * 10)
    await asyncio.sleep(0.01)
    protocol.data_received(b"x" * (size - 20))
    await asyncio.sleep(0.01)
    assert (b"200 OK" in transport.written) == answered
    protocol.data_received(b"x" * 10 + HEAD + b"x: " + b"y" * (2 * MAX_HEADER_BYTES) + b"\r\n\r\n")
    await asyncio.sleep(0.01)
    assert transport.written.count(b"200 OK") <= 1
    assert transport.closing
    protocol.connection_lost(None)


async def test_requests_behind_each_other_are_all_answered() -> None:
    async with server() as port:
        size = MAX_HEADER_BYTES
        post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
        answer = await ask(port, post + post + post + HEAD + b"\r\n")
        assert answer.count(b"200 OK") == 4


@pytest.mark.parametrize("at_once", [True, False])
async def test_headers_beyond_the_limit_are_refused(at_once: bool) -> None:
    large = b"".join(b"x-%d: %s\r\n" % (n, b"y" * 1000) for n in range(80))
    async with server() as port:
        whole = HEAD + large + b"\r\n"
        answer = await ask(
            port, *([whole] if at_once else [whole[:1000], whole[1000:70_000], whole[70_000:]])
        )
        assert b"200 OK" not in answer
        assert not answer or b"431" in answer
        assert b"200 OK" in await ask(port, HEAD + b"x: " + b"y" * 50_000 + b"\r\n\r\n")


async def test_what_is_no_http_is_refused() -> None:
    async with server() as port:
        assert b"400 Bad Request" in await ask(port, b"\x16\x03\x01 hello\r\n\r\n")
        both = (
            b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        )
        answer = await ask(port, both + HEAD + b"\r\n")
        assert answer.count(b"HTTP/1.1") == 1
        assert b"200 OK" not in answer


class Timer:
    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        self.seconds = seconds
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """Timers that a test lets run out; tasks are the real loop's."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        """What is to be done at once needs no clock."""
        asyncio.get_running_loop().call_soon(callback)

    def call_later(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> Timer:
        self.timers.append(Timer(seconds, lambda: callback(*arguments)))
        return self.timers[-1]

    def create_task(self, coroutine: Any, **_: Any) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(coroutine)

    @property
    def waiting(self) -> list[Timer]:
        return [timer for timer in self.timers if not timer.cancelled]

    def run_out(self) -> None:
        (timer,) = self.waiting
        timer.cancelled = True
        timer.callback()


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False
        self.paused = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that waits for a body that never ends."""
    await Request(scope, receive).body()


async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that does not read."""
    await asyncio.Event().wait()


def connect(app: Any) -> tuple[BoundedHttpProtocol, FakeTransport, FakeLoop]:
    config = uvicorn.Config(app, http=BoundedHttpProtocol, lifespan="off", log_config=None, access_log=False)
    config.load()
    loop, transport = FakeLoop(), FakeTransport()
    protocol = BoundedHttpProtocol(config, ServerState(), {}, _loop=loop)
    protocol.connection_made(transport)
    return protocol, transport, loop


async def test_a_silent_connection_is_closed_without_a_word() -> None:
    _, transport, loop = connect(quiet)
    assert loop.waiting[0].seconds <= 10
    loop.run_out()
    assert transport.closing
    assert not transport.written


async def test_headers_that_trickle_are_not_waited_for() -> None:
    protocol, transport, loop = connect(quiet)
    protocol.data_received(b"GET / HTTP/1.1\r\n")
    protocol.data_received(b"x-a: 1\r\n")
    assert len(loop.waiting) == 1  # the clock is not set back by a byte
    loop.run_out()
    assert transport.closing
    assert transport.written.startswith(b"HTTP/1.1 408 ")


POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"


async def test_a_body_that_trickles_is_not_waited_for() -> None:
    protocol, transport, loop = connect(quiet)
    protocol.data_received(POST)
    await asyncio.sleep(0)
    protocol.data_received(b"x" * 20_000)
    loop.run_out()
    assert not transport.closing
    protocol.data_received(b"x" * 20)
    loop.run_out()
    assert transport.closing
    assert b"408" in transport.written
    protocol.connection_lost(None)
    await asyncio.sleep(0)


async def test_a_body_that_we_do_not_read_may_take_its_time() -> None:
    protocol, transport, loop = connect(stuck)
    protocol.data_received(POST)
    await asyncio.sleep(0)
    protocol.data_received(b"x" * 300_000)
    assert transport.paused
    loop.run_out()
    loop.run_out()
    assert not transport.closing
    protocol.connection_lost(None)
    assert not loop.waiting
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
