"""Work on large bodies, done beside the event loop so that it does not hold up other requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Decoding fewer bytes than this takes less time than handing the work to a thread.
THREAD_BYTES = 256 * 1024


async def away_from_loop(work: Callable[[], T], size: int) -> T:
    """Result of `work` on `size` bytes."""
    return await asyncio.to_thread(work) if size >= THREAD_BYTES else work()
