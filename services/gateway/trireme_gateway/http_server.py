"""uvicorn as the gateway runs it: on a socket that is already bound, without signals of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from trireme_gateway.http_protocol import BoundedHttpProtocol
from trireme_gateway.listening import BACKLOG


class HttpServer(uvicorn.Server):
    """Serves `app` on one socket until `stop`; the process's own handlers decide about signals."""

    def __init__(self, app: ASGIApp, *, grace_seconds: float) -> None:
        config = uvicorn.Config(
            app,
            http=BoundedHttpProtocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=max(1, round(grace_seconds)),
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def run_on(self, sock: socket.socket) -> None:
        """Serves until `stop`; returns when the answers under way have left."""
        await self.serve(sockets=[sock])

    async def stop(self, serving: asyncio.Task[None]) -> None:
        """Closes the listener, lets requests under way finish within the grace."""
        self.should_exit = True
        await serving
