"""Stale answers computed anew behind the back of those who got them: each key once, a bounded number."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from trireme_gateway.cache.events import CacheEvents, Refresh
from trireme_gateway.cache.single_flight import Run, SingleFlight

MAX_KEYS = 256


class Refresher:
    """Refreshes join the computations that requests wait for, and requests join refreshes."""

    def __init__(self, flights: SingleFlight, events: CacheEvents, max_keys: int = MAX_KEYS) -> None:
        self._flights = flights
        self._events = events
        self._max_keys = max_keys
        self._under_way: set[bytes] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def choose(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of `keys` to refresh: not under way, and there is room."""
        new = [key for key in dict.fromkeys(keys) if key not in self._under_way]
        room = self._max_keys - len(self._under_way)
        if len(new) > room:
            self._events.on_refresh(Refresh.DROPPED, len(new) - room)
        return new[:room]

    def start(self, keys: list[bytes], run: Run) -> None:
        """Refreshes what `choose` chose, by `run` as `SingleFlight.fly` has it."""
        self._under_way.update(keys)
        task = asyncio.create_task(self._refresh(keys, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _refresh(self, keys: list[bytes], run: Run) -> None:
        try:
            landings = await self._flights.fly(keys, run)
        finally:
            self._under_way.difference_update(keys)
        done = sum(isinstance(landing.outcome, bytes) for landing in landings.values())
        if done:
            self._events.on_refresh(Refresh.DONE, done)
        if done < len(keys):
            self._events.on_refresh(Refresh.FAILED, len(keys) - done)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
