"""The use case: answers for keys, out of memory, the shared store or a computation under way, or computed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from trireme_common.errors import Code, TriremeError
from trireme_gateway.cache.computation import Computation, Compute, Computed, Levels, SharedStore
from trireme_gateway.cache.events import CacheEvents, Level
from trireme_gateway.cache.freshness import Held, Terms
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.cache.refresher import Refresher
from trireme_gateway.cache.single_flight import Landing, Origin, Outcome, SingleFlight

__all__ = ["CacheResult", "Computed", "ResultCache", "SharedStore", "Status"]

DETERMINISTIC_CODES = frozenset(
    {
        Code.INVALID_ARGUMENT,
        Code.BLANK_TEXT,
        Code.TEXT_TOO_LONG,
        Code.UNDECODABLE_IMAGE,
        Code.IMAGE_TOO_LARGE,
        Code.NON_FINITE_NUMBER,
        Code.WRONG_SHAPE,
        Code.PAYLOAD_TOO_LARGE,
        Code.UNSUPPORTED_MEDIA_TYPE,
    }
)
"""Errors that the item itself causes: everybody who asks the same question gets the same one."""


class Status(StrEnum):
    """How an item's answer was come by."""

    HIT = "hit"
    MISS = "miss"
    COALESCED = "coalesced"
    """Computed for another item: of this request, or of one that asked first, here or at another gateway."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class CacheResult:
    """Answers in the order of the keys.

    An error may be shared with other requests: read it, do not raise it.
    """

    outcomes: list[Outcome]
    statuses: list[Status]
    left: float | None = None
    """Where an answer is stale: seconds of the most stale one's time to live, 0 or less."""

    @property
    def status(self) -> Status:
        """One word for all items, for `x-cache`: miss if any was computed, else coalesced, else hit."""
        for status in (Status.MISS, Status.COALESCED, Status.HIT):
            if status in self.statuses:
                return status
        return Status.OFF


class ResultCache:
    """Answers of items by key. The owner closes it; it closes its store."""

    def __init__(self, memory: MemoryCache, shared: SharedStore | None, events: CacheEvents) -> None:
        """Without `shared`, memory alone; with neither, the cache is off and everything is computed."""
        self._memory = memory
        self._levels = Levels(memory, shared)
        self._events = events
        self._single_flight = SingleFlight(lambda error: error.code in DETERMINISTIC_CODES)
        self._refresher = Refresher(self._single_flight, events)

    @property
    def enabled(self) -> bool:
        """False where there is neither memory nor a store."""
        return self._memory.enabled or self._levels.shared is not None

    def remembered(self, keys: Sequence[bytes]) -> list[Outcome] | None:
        """Answers within their time for `keys` where memory has them all, else None: the quick way, without
        a suspension."""
        values: list[Outcome] = []
        for key in keys:
            value = self._memory.get(key)
            if value is None:
                return None
            values.append(value)
        self._events.on_hit(Level.MEMORY, len(values))
        return values

    async def get_or_compute(
        self,
        keys: Sequence[bytes],
        compute: Compute,
        terms: Terms,
        *,
        wait_seconds: float | None = None,
        refresh: Compute | None = None,
    ) -> CacheResult:
        """Answers for `keys`; where memory has them all this costs neither a task nor a suspension.

        `compute` is called with positions that nobody has or is computing, each key once, and gives one
        `Computed` a position in that order. It runs in a task that outlives the caller as long as another
        request waits for it, so it must not look at the caller's task. It is called once more only for keys
        whose other computation, joined, failed with an error of its own, or that another gateway was to
        compute and did not. What it raises is the error of its positions. With a time to live of 0 or less,
        or a cache that is off, it is called for all positions in the caller's task. Stale answers, where
        `terms` take them, are computed anew by `refresh`, after this has returned. Raises TimeoutError where
        a computation, its own or another's, takes longer than `wait_seconds`, and what `compute` raises in
        that last case.
        """
        if terms.ttl_seconds <= 0 or not self.enabled:
            return await self.bypass(keys, compute)
        found = self._recall(keys, terms)
        computation = Computation(self._levels, compute, terms, wait_seconds)
        for position, key in enumerate(keys):
            if found[position] is None:
                computation.positions.setdefault(key, position)
        landings: dict[bytes, Landing] = {}
        if computation.positions:
            landings = await self._single_flight.fly(
                computation.positions, computation.run, terms.freshness, wait_seconds=wait_seconds
            )
            self._events.on_memory(self._memory.size_bytes, self._memory.take_evicted())
        result, stale = self._gather(keys, found, landings)
        if stale and refresh is not None:
            self._refresh(keys, stale, refresh, terms)
        return result

    async def look(self, keys: Sequence[bytes], terms: Terms) -> CacheResult:
        """What is stored for `keys`; an item that is not, or is too old, has an error of code NOT_CACHED."""
        found = self._recall(keys, terms)
        shared = self._levels.shared
        missing = [key for key, held in zip(keys, found, strict=True) if held is None]
        landings: dict[bytes, Landing] = {}
        if missing and shared is not None:
            for key, data in zip(missing, await shared.store.get_many(missing), strict=True):
                held = self._levels.open(key, data)
                if held is not None and terms.freshness.takes(held):
                    self._levels.remember(key, held, terms)
                    landings[key] = Landing(held.value, Origin.FOUND, True, held.left)
        refused = TriremeError(Code.NOT_CACHED, "the answer is not in the cache, and none was to be computed")
        for key in missing:
            landings.setdefault(key, Landing(refused, Origin.COMPUTED, True, math.inf))
        return self._gather(keys, found, landings)[0]

    async def compute_anew(self, keys: Sequence[bytes], compute: Compute, terms: Terms) -> CacheResult:
        """Answers that are computed in the caller's task, whatever is stored, and kept."""
        computed = await compute(list(range(len(keys))))
        answers = zip(keys, computed, strict=True)
        self._levels.keep([(key, item.outcome) for key, item in answers if item.cacheable], terms)
        self._events.on_bypassed(len(keys))
        self._events.on_memory(self._memory.size_bytes, self._memory.take_evicted())
        return CacheResult([item.outcome for item in computed], [Status.MISS] * len(keys))

    async def bypass(self, keys: Sequence[bytes], compute: Compute) -> CacheResult:
        """Answers that are computed in the caller's task; the cache has no part in them."""
        computed = await compute(list(range(len(keys)))) if keys else []
        return CacheResult([item.outcome for item in computed], [Status.OFF] * len(keys))

    async def close(self) -> None:
        """Cancels what is being computed and closes the store."""
        await self._refresher.close()
        await self._single_flight.close()
        if self._levels.shared is not None:
            await self._levels.shared.store.close()

    def _recall(self, keys: Sequence[bytes], terms: Terms) -> list[Held | None]:
        """What memory has of each key, where `terms` take it."""
        takes = terms.freshness.takes
        found = [held if held is not None and takes(held) else None for held in map(self._memory.find, keys)]
        hits = len(found) - found.count(None)
        if hits:
            self._events.on_hit(Level.MEMORY, hits)
        return found

    def _gather(
        self, keys: Sequence[bytes], found: Sequence[Held | None], landings: Mapping[bytes, Landing]
    ) -> tuple[CacheResult, list[int]]:
        """The answers, and the positions of those that are stale. Every item is counted."""
        outcomes: list[Outcome] = []
        statuses: list[Status] = []
        stale: dict[int, float] = {}
        seen: set[bytes] = set()
        for position, (key, held) in enumerate(zip(keys, found, strict=True)):
            if held is not None:
                outcomes.append(held.value)
                statuses.append(Status.HIT)
                left = held.left
            else:
                landing = landings[key]
                outcomes.append(landing.outcome)
                statuses.append(self._count(landing, is_first=key not in seen))
                left = landing.left
                seen.add(key)
            if left <= 0:
                stale[position] = left
        if stale:
            self._events.on_stale(len(stale))
        return CacheResult(outcomes, statuses, min(stale.values(), default=None)), list(stale)

    def _count(self, landing: Landing, *, is_first: bool) -> Status:
        if landing.origin is Origin.FOUND:
            self._events.on_hit(Level.REDIS, 1)
            return Status.HIT
        if landing.origin is Origin.COMPUTED and landing.led and is_first:
            self._events.on_miss(1)
            return Status.MISS
        self._events.on_coalesced(1)
        return Status.COALESCED

    def _refresh(self, keys: Sequence[bytes], stale: Sequence[int], refresh: Compute, terms: Terms) -> None:
        chosen = self._refresher.choose(keys[position] for position in stale)
        if chosen:
            computation = Computation(self._levels, refresh, terms, None)
            computation.positions = {keys[position]: position for position in stale}
            self._refresher.start(chosen, computation.run)
