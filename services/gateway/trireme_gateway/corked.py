"""A transport that lets the parts of an answer leave together."""

from __future__ import annotations

import asyncio
from typing import Any

_MOST_BYTES = 64 * 1024


class CorkedTransport:
    """Holds what is written during one turn of the event loop and writes it at once.

    uvicorn writes the head and the body of an answer one after the other, which are two system calls
    and two packets. More than 64 KiB leave at once, so that a stream's back-pressure still holds.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > _MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what is held, if the connection is still there."""
        if self._held:
            data = b"".join(self._held) if len(self._held) > 1 else self._held[0]
            self._held.clear()
            self._size = 0
            if not self._transport.is_closing():
                self._transport.write(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
