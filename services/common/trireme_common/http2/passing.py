"""Bytes that are passed on between two connections, as they come and no faster than they are taken."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast


class Passing(asyncio.Protocol):
    """One side of it: what arrives here leaves at `other`. `came` and `went` tell of its connection."""

    def __init__(
        self, came: Callable[[asyncio.Transport], None], went: Callable[[asyncio.Transport], None]
    ) -> None:
        self._came = came
        self._went = went
        self.other: Passing | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        self._came(self.transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self._went(self.transport)
        self.transport = None
        if self.other is not None:
            self.other.end()
        self.other = None

    def end(self) -> None:
        """Closes the connection, after what is still to be written."""
        if self.transport is not None:
            self.transport.close()


async def join(client: asyncio.Transport, near: Passing, far: Passing, first: bytes, path: str) -> None:
    """Joins a client to the Unix socket at `path`, beginning with what it has sent already.

    Raises OSError where nobody listens there. The client must not be read meanwhile. Do not cancel it: uvloop
    would not tell `far` that its connection is gone.
    """
    if client.is_closing():
        return  # it has left already, and whoever had it before is told
    loop = asyncio.get_running_loop()
    # Before there is a far end: a gRPC server speaks first, on uvloop before the connection is handed out.
    near.other, far.other = far, near
    client.set_protocol(near)
    near.connection_made(client)
    way = socket.socket(socket.AF_UNIX)
    way.setblocking(False)
    try:
        await loop.sock_connect(way, path)  # uvloop itself does not connect to a name without a file
        await loop.create_unix_connection(lambda: far, sock=way)
    except BaseException:
        way.close()
        raise
    if far.transport is None:
        way.detach()  # gone already: uvloop has closed its number, which may be another socket's by now
    if client.is_closing():
        far.end()
    else:
        client.resume_reading()  # first, for what comes now may be too much already
        near.data_received(first)
