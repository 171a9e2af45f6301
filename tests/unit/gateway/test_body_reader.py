"""Bodies between the parser and the application."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Receive, Scope, Send

from tests.unit.gateway.test_http_protocol import connect
from trireme_gateway.http_protocol import BoundedHttpProtocol

BODY = bytes(range(256)) * 1000


class Application:
    """Answers nothing; keeps what it receives, as often as it is told to."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.turns = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            await self.turns.acquire()
            self.received.append(await receive())


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def post(size: int, *headers: bytes) -> bytes:
    lines = (b"POST / HTTP/1.1", b"host: x", b"content-length: %d" % size, *headers, b"", b"")
    return b"\r\n".join(lines)


async def end(protocol: BoundedHttpProtocol) -> None:
    protocol.connection_lost(None)
    await settled()


async def test_a_body_that_comes_at_once_is_one_piece_without_what_follows_it() -> None:
    application = Application()
    protocol, _, _ = connect(application)
    protocol.data_received(post(len(BODY)) + BODY + b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    application.turns.release()
    await settled()
    assert application.received == [{"type": "http.request", "body": BODY, "more_body": False}]
    await end(protocol)


async def test_parts_that_came_since_are_handed_on_together() -> None:
    application = Application()
    protocol, _, _ = connect(application)
    protocol.data_received(post(len(BODY)) + BODY[:10])
    protocol.data_received(BODY[10:100_000])
    application.turns.release()
    await settled()
    assert application.received == [{"type": "http.request", "body": BODY[:100_000], "more_body": True}]
    application.turns.release()
    await settled()
    assert len(application.received) == 1
    protocol.data_received(BODY[100_000:])
    await settled()
    assert application.received[1:] == [{"type": "http.request", "body": BODY[100_000:], "more_body": False}]
    await end(protocol)


async def test_reading_pauses_until_the_application_takes_what_has_come() -> None:
    application = Application()
    protocol, transport, _ = connect(application)
    protocol.data_received(post(4 * len(BODY)) + BODY)
    assert not transport.paused
    protocol.data_received(BODY)
    assert transport.paused
    application.turns.release()
    await settled()
    assert not transport.paused
    await end(protocol)


async def test_a_client_that_waits_to_be_told_to_send_is_told_once() -> None:
    application = Application()
    protocol, transport, _ = connect(application)
    protocol.data_received(post(3, b"expect: 100-continue"))
    await settled()
    assert not transport.written
    application.turns.release()
    await settled()
    assert transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    protocol.data_received(b"abc")
    await settled()
    assert application.received == [{"type": "http.request", "body": b"abc", "more_body": False}]
    await end(protocol)
    assert transport.written.count(b"100 Continue") == 1
