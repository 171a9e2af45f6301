"""The body of a batch, taken as it arrives, and read ahead only while answers cannot leave.

Many clients write the whole body before they read anything. If the answers that they do not take held
back the reading at once, both ends would wait for each other for ever. So while an answer waits for its
reader, up to a limit more of the body is taken in; a body within the limit is therefore safe with every
client, and a longer one is held back behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from starlette.types import Message, Receive, Send

from trireme_common.errors import Code, TriremeError


class BatchBody:
    """Chunks of one request's body. One task may read it while another sends."""

    def __init__(self, receive: Receive, ahead_bytes: int) -> None:
        self._receive = receive
        self._ahead_bytes = ahead_bytes
        self._ahead: deque[bytes] = deque()
        self._held = 0
        self._taking = asyncio.Lock()
        self._ended = False
        self._left = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises TriremeError(CANCELLED) where the caller leaves before the end."""
        while True:
            async with self._taking:  # while an answer waits, the next part is perhaps already being taken
                while not self._ahead and not self._ended:
                    await self._take()
            if not self._ahead:
                break
            chunk = self._ahead.popleft()
            self._held -= len(chunk)
            yield chunk
        if self._left:
            raise TriremeError(Code.CANCELLED, "the caller left")

    async def send(self, message: Message, send: Send) -> None:
        """Sends a part of the answer; while it waits for its reader, the body is read ahead."""
        if self._ended:
            await send(message)
            return
        # Begins to run only where `send` has to wait.
        ahead = asyncio.create_task(self._read_ahead())
        try:
            await send(message)
        finally:
            ahead.cancel()
            await asyncio.wait((ahead,))

    async def _read_ahead(self) -> None:
        while not self._ended and self._held < self._ahead_bytes:
            async with self._taking:
                if not self._ended:
                    await self._take()

    async def _take(self) -> None:
        # May be cancelled while it waits; what has not arrived yet is then left to the next one.
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._ended = self._left = True
            return
        self._ended = not message.get("more_body", False)
        chunk = message.get("body", b"")
        if chunk:
            self._ahead.append(chunk)
            self._held += len(chunk)
