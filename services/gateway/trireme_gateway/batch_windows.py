"""Texts of a batch in windows, of which each goes through the pipeline as one request.

A window is handed on when it is full, and also when the body pauses: where what has arrived is read, and one
turn of the event loop brings nothing more. Nothing waits for a timer, so a caller that wants answers before
it sends more gets them, and the texts of one that sends on still travel together.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from trireme_common.errors import Code, TriremeError


class Windows:
    """One reader of `texts`, which come as the body completes them."""

    def __init__(self, texts: AsyncIterator[list[str]], size: int) -> None:
        self._arrivals = texts
        self._size = size
        self._texts: deque[str] = deque()
        self._arriving: asyncio.Future[list[str] | None] | None = None
        self._reading: asyncio.Task[list[str]] | None = None
        self._handed_on = 0
        self._complete = False
        self._fault: TriremeError | None = None

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self._complete and not self._texts

    @property
    def fault(self) -> TriremeError | None:
        """What ended the body, once all texts before it were handed on."""
        return self._fault if self.ended else None

    @property
    def in_first(self) -> bool:
        """Fewer than `size` texts were handed on."""
        return self._handed_on < self._size

    def reading(self) -> asyncio.Task[list[str]]:
        """The task that reads the next window: the same until its window is taken."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._next())
        return self._reading

    def taken(self) -> list[str] | None:
        """The window that was read: up to `size` texts, none at the end. None where none has been read yet.
        Raises TriremeError(CANCELLED) where the caller has left; any other fault of the body becomes `fault`.
        """
        if self._reading is None or not self._reading.done():
            return None
        window = self._reading.result()
        self._reading = None
        self._handed_on += len(window)
        return window

    async def close(self) -> None:
        """Stops reading, wherever it is."""
        tasks = [task for task in (self._reading, self._arriving) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _next(self) -> list[str]:
        while len(self._texts) < self._size and not self._complete:
            if self._arriving is None:
                self._arriving = asyncio.ensure_future(anext(self._arrivals, None))
            if self._texts:
                await asyncio.sleep(0)
                if not self._arriving.done():
                    break
            await self._take(self._arriving)
            self._arriving = None
        return [self._texts.popleft() for _ in range(min(self._size, len(self._texts)))]

    async def _take(self, arriving: asyncio.Future[list[str] | None]) -> None:
        try:
            arrived = await arriving
        except TriremeError as error:
            if error.code is Code.CANCELLED:
                raise  # nobody waits any more
            self._fault, self._complete = error, True
        else:
            self._complete = arrived is None
            self._texts.extend(arrived or ())
