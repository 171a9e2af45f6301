"""Many calls at a time, their results in the order of the questions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def ordered(
    items: Iterable[T], call: Callable[[T], Awaitable[R]], concurrency: int
) -> AsyncGenerator[R, None]:
    """`call` of every item, at most `concurrency` at once, in the order of `items`.

    The first exception ends it; calls under way are cancelled and waited for.
    """
    running: deque[asyncio.Future[R]] = deque()
    try:
        for item in items:
            if len(running) >= concurrency:
                yield await running.popleft()
            running.append(asyncio.ensure_future(call(item)))
        while running:
            yield await running.popleft()
    finally:
        for future in running:
            future.cancel()
        await asyncio.gather(*running, return_exceptions=True)
