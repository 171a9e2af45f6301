"""A client that hangs up takes its work with it."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope, Send

from trireme_gateway.http_server import HttpServer
from trireme_gateway.listening import listen
from trireme_gateway.middleware import AccessLog, RequestMiddleware


class Working:
    """An application whose answer never comes; says when it was begun and when it was cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def test_work_is_cancelled_when_its_client_leaves() -> None:
    work = Working()
    app = RequestMiddleware(work, timeout_seconds=30, access_log=AccessLog(), draining=lambda: False)
    sock = listen("127.0.0.1", 0)
    server = HttpServer(app, grace_seconds=1)
    serving = asyncio.create_task(server.run_on(sock))
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
        writer.write(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
        async with asyncio.timeout(10):
            await work.begun.wait()
            assert not work.cancelled.is_set()
            writer.close()
            await work.cancelled.wait()
    finally:
        await server.stop(serving)
