"""One computation a key over all gateways that share a store, for as long as the store can tell.

Who misses a key claims it there for a while. Who finds it claimed looks again, after 5 ms at first and at
ever longer intervals, for the value and the claim in one question: the value lands the key; a claim that is
gone, because its holder failed or died, is claimed in turn. Nobody waits longer than the patience that it
came with: after that it computes the key itself. A store that is away says that every claim is won.

The holder gives its claim back behind the value that it wrote, or when it failed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from trireme_gateway.cache.events import CacheEvents, Flight
from trireme_gateway.cache.ports import CacheStore

_FIRST_POLL_SECONDS = 0.005
_LAST_POLL_SECONDS = 0.05
_GROWTH = 1.5


class Waiting(Protocol):
    """What waits for keys, and what is done about them."""

    def wanted(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of `keys` that anybody still waits for."""
        ...

    def land_stored(self, key: bytes, data: bytes | None) -> bool:
        """Lands a key with what the store holds of it, if that will do."""
        ...


class SharedFlight:
    """Says which keys are to be computed here."""

    def __init__(
        self,
        store: CacheStore,
        events: CacheEvents,
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seconds`: how long a claim stands, and the longest that anybody waits for another's."""
        self._store = store
        self._events = events
        self._seconds = seconds
        self._clock = clock

    async def claim(self, keys: Sequence[bytes], waiting: Waiting) -> tuple[list[bytes], list[bytes]]:
        """Keys to compute here, and keys that others are computing; what has come since has landed."""
        won: list[bytes] = []
        others: list[bytes] = []
        for key, claim in zip(keys, await self._store.claim_many(keys, self._seconds), strict=True):
            if waiting.land_stored(key, claim.value):
                if claim.won:
                    self.release([key])
            else:
                (won if claim.won else others).append(key)
        if won:
            self._events.on_flight(Flight.LED, len(won))
        return won, others

    async def follow(
        self, keys: Sequence[bytes], waiting: Waiting, patience: float, lead: Callable[[list[bytes]], None]
    ) -> None:
        """Waits for keys that others compute, at most `patience` seconds; calls `lead` with those that are
        to be computed here after all."""
        until = self._clock() + min(patience, self._seconds)
        pause = _FIRST_POLL_SECONDS
        while keys := waiting.wanted(keys):
            left = until - self._clock()
            if left <= 0:
                self._events.on_flight(Flight.GIVEN_UP, len(keys))
                lead(list(keys))
                return
            await asyncio.sleep(min(pause, left))
            pause = min(pause * _GROWTH, _LAST_POLL_SECONDS)
            keys, freed = await self._look(keys, waiting)
            if freed:
                won, others = await self.claim(freed, waiting)
                keys = [*keys, *others]
                if won:
                    lead(won)

    def release(self, keys: Iterable[bytes]) -> None:
        """Gives claims back, behind whatever was put into the store before."""
        self._store.release_many(list(keys))

    async def _look(self, keys: Sequence[bytes], waiting: Waiting) -> tuple[list[bytes], list[bytes]]:
        """Of `keys`, those that are still claimed and those that nobody holds any more."""
        found = await self._store.watch_many(keys)
        claimed: list[bytes] = []
        freed: list[bytes] = []
        wanted = set(waiting.wanted(keys))
        for key, watch in zip(keys, found, strict=True):
            if key not in wanted:
                continue
            if waiting.land_stored(key, watch.value):
                self._events.on_flight(Flight.ANSWERED, 1)
            else:
                (claimed if watch.held else freed).append(key)
        return claimed, freed
