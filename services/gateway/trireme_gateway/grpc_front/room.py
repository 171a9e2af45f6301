"""The bound on what one stream holds."""

from __future__ import annotations

import asyncio


class Room:
    """How much may be under way: a number of requests, and of bytes of them and of answers that wait for
    their turn. For one reader."""

    def __init__(self, requests: int, size: int) -> None:
        self._requests = requests
        self._bytes = size
        self._held = 0
        self._held_bytes = 0
        self._changed = asyncio.Event()

    async def enter(self, size: int) -> None:
        """Waits until `size` bytes more may be held; alone, a request of any size may."""
        while self._held and (self._held >= self._requests or self._held_bytes + size > self._bytes):
            self._changed.clear()
            await self._changed.wait()
        self._held += 1
        self._held_bytes += size

    def resize(self, size: int, now: int) -> None:
        """What had `size` bytes has `now` bytes."""
        self._held_bytes += now - size
        self._changed.set()

    def leave(self, size: int) -> None:
        self._held -= 1
        self._held_bytes -= size
        self._changed.set()
