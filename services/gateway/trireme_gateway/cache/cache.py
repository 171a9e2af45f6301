"""The use case: answers for keys, out of memory, the shared store or a computation under way, or computed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from trireme_common.errors import Code
from trireme_gateway.cache.entry import Sealer
from trireme_gateway.cache.events import CacheEvents, Level
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.cache.ports import CacheStore, StoreEntry
from trireme_gateway.cache.single_flight import Group, Landing, Outcome, SingleFlight

TTL_JITTER = 0.1
"""Times to live are spread by this part up and down: what was stored together does not end together."""

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
    """Computed for another item: of a request that asked first, or of this one."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Computed:
    """What a computation gives for one item. Errors are never stored, nor is what is not `cacheable`."""

    outcome: Outcome
    cacheable: bool = True


@dataclass(frozen=True, slots=True)
class CacheResult:
    """Answers in the order of the keys.

    An error may be shared with other requests: read it, do not raise it.
    """

    outcomes: list[Outcome]
    statuses: list[Status]

    @property
    def status(self) -> Status:
        """One word for all items, for `x-cache`: miss if any was computed, else coalesced, else hit."""
        for status in (Status.MISS, Status.COALESCED, Status.HIT):
            if status in self.statuses:
                return status
        return Status.OFF


Compute = Callable[[list[int]], Awaitable[Sequence[Computed]]]


@dataclass(frozen=True, slots=True)
class SharedStore:
    """The second level: a store, and the seal that its values must bear."""

    store: CacheStore
    sealer: Sealer


class ResultCache:
    """Answers of items by key. The owner closes it; it closes its store."""

    def __init__(self, memory: MemoryCache, shared: SharedStore | None, events: CacheEvents) -> None:
        """Without `shared`, memory alone; with neither, the cache is off and everything is computed."""
        self._memory = memory
        self._shared = shared
        self._events = events
        self._single_flight = SingleFlight(lambda error: error.code in DETERMINISTIC_CODES)

    @property
    def enabled(self) -> bool:
        """False where there is neither memory nor a store."""
        return self._memory.enabled or self._shared is not None

    def remembered(self, keys: Sequence[bytes]) -> list[Outcome] | None:
        """Answers for `keys` where memory has them all, else None: the quick way, without a suspension."""
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
        *,
        ttl_seconds: float,
        wait_seconds: float | None = None,
    ) -> CacheResult:
        """Answers for `keys`; where memory has them all this costs neither a task nor a suspension.

        `compute` is called with the positions that nobody has or is computing, each key once, and gives one
        `Computed` a position in that order. It runs in a task that outlives the caller as long as another
        request waits for it, so it must not look at the caller's task. It is called once, and once more only
        for keys whose other computation, joined, failed with an error of its own. What it raises is the error
        of its positions. With `ttl_seconds` of 0 or less, or a cache that is off, it is called for all
        positions in the caller's task. Raises TimeoutError where a computation, its own or another's, takes
        longer than `wait_seconds`, and what `compute` raises in that last case.
        """
        if ttl_seconds <= 0 or not self.enabled:
            computed = await compute(list(range(len(keys)))) if keys else []
            return CacheResult([item.outcome for item in computed], [Status.OFF] * len(keys))
        found = [self._memory.get(key) for key in keys]
        outcomes = [value for value in found if value is not None]
        if outcomes:
            self._events.on_hit(Level.MEMORY, len(outcomes))
        if len(outcomes) == len(keys):
            return CacheResult([*outcomes], [Status.HIT] * len(keys))
        computation = _Computation(self._memory, self._shared, compute, ttl_seconds)
        async with asyncio.timeout(wait_seconds):
            return await self._resolve(keys, found, computation)

    async def close(self) -> None:
        """Cancels what is being computed and closes the store."""
        await self._single_flight.close()
        if self._shared is not None:
            await self._shared.store.close()

    async def _resolve(
        self, keys: Sequence[bytes], found: Sequence[bytes | None], computation: _Computation
    ) -> CacheResult:
        for position, key in enumerate(keys):
            if found[position] is None:
                computation.positions.setdefault(key, position)
        landings = await self._single_flight.fly(computation.positions, computation.run)
        self._events.on_size(self._memory.size_bytes)
        outcomes: list[Outcome] = []
        statuses: list[Status] = []
        for position, (key, value) in enumerate(zip(keys, found, strict=True)):
            if value is not None:
                outcomes.append(value)
                statuses.append(Status.HIT)
                continue
            landing = landings[key]
            outcomes.append(landing.outcome)
            statuses.append(self._count(landing, is_first=computation.positions[key] == position))
        return CacheResult(outcomes, statuses)

    def _count(self, landing: Landing, *, is_first: bool) -> Status:
        if landing.found:
            self._events.on_hit(Level.REDIS, 1)
            return Status.HIT
        if landing.led and is_first:
            self._events.on_miss(1)
            return Status.MISS
        self._events.on_coalesced(1)
        return Status.COALESCED


class _Computation:
    """What a request does for keys that it leads: look in the store, compute the rest, keep what may be."""

    def __init__(
        self, memory: MemoryCache, shared: SharedStore | None, compute: Compute, ttl_seconds: float
    ) -> None:
        self.positions: dict[bytes, int] = {}
        """First position of each key that memory lacks."""
        self._memory = memory
        self._shared = shared
        self._compute = compute
        self._ttl_seconds = ttl_seconds

    async def run(self, group: Group) -> None:
        if self._shared is not None:
            await self._look_up(group, self._shared)
        keys = group.pending
        if not keys or not group.wanted:
            return
        computed = await self._compute([self.positions[key] for key in keys])
        if len(computed) != len(keys):
            raise RuntimeError(f"{len(keys)} items were to be computed, {len(computed)} came")
        answers = list(zip(keys, computed, strict=True))
        self._keep([(key, item.outcome) for key, item in answers if item.cacheable])
        for key, item in answers:
            group.land(key, item.outcome)

    async def _look_up(self, group: Group, shared: SharedStore) -> None:
        keys = group.pending
        for key, data in zip(keys, await shared.store.get_many(keys), strict=True):
            opened = None if data is None else shared.sealer.unseal(key, data)
            if opened is not None:
                self._memory.put(
                    key, opened.value, min(opened.ttl_seconds, self._ttl_seconds * (1 + TTL_JITTER))
                )
                group.land(key, opened.value, found=True)

    def _keep(self, outcomes: Sequence[tuple[bytes, Outcome]]) -> None:
        entries = []
        for key, outcome in outcomes:
            if isinstance(outcome, bytes):
                ttl_seconds = self._ttl_seconds * random.uniform(1 - TTL_JITTER, 1 + TTL_JITTER)
                self._memory.put(key, outcome, ttl_seconds)
                entries.append(StoreEntry(key, outcome, ttl_seconds))
        if self._shared is not None and entries:
            seal = self._shared.sealer.seal
            sealed = [StoreEntry(key, seal(key, value, ttl), ttl) for key, value, ttl in entries]
            self._shared.store.put_many(sealed)
