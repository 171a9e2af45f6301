"""What a request does for keys that it leads: look in the store, compute the rest, keep what may be."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from trireme_common.errors import TriremeError
from trireme_gateway.cache.entry import Sealer
from trireme_gateway.cache.freshness import Held, Terms
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.cache.ports import CacheStore, StoreEntry
from trireme_gateway.cache.shared_flight import SharedFlight
from trireme_gateway.cache.single_flight import Group, Origin, Outcome

TTL_JITTER = 0.1
"""Times to live are spread by this part up and down: what was stored together does not end together."""
_PATIENCE = 0.5
"""Part of a request's time for which it waits for another gateway."""


@dataclass(frozen=True, slots=True)
class Computed:
    """What a computation gives for one item. Errors are never stored, nor is what is not `cacheable`."""

    outcome: Outcome
    cacheable: bool = True


Compute = Callable[[list[int]], Awaitable[Sequence[Computed]]]


@dataclass(frozen=True, slots=True)
class SharedStore:
    """The second level: a store, the seal that its values must bear, and who computes what is missing."""

    store: CacheStore
    sealer: Sealer
    flight: SharedFlight | None = None
    """None where every gateway computes what it misses."""


class Levels:
    """Where answers are kept."""

    def __init__(self, memory: MemoryCache, shared: SharedStore | None) -> None:
        self.memory = memory
        self.shared = shared

    def keep(self, outcomes: Iterable[tuple[bytes, Outcome]], terms: Terms) -> None:
        """Keeps answers; errors are passed over."""
        if terms.ttl_seconds <= 0:
            return
        entries = []
        for key, outcome in outcomes:
            if isinstance(outcome, bytes):
                ttl_seconds = terms.ttl_seconds * random.uniform(1 - TTL_JITTER, 1 + TTL_JITTER)
                self.memory.put(key, outcome, ttl_seconds, keep_seconds=terms.keep_seconds)
                entries.append(StoreEntry(key, outcome, ttl_seconds))
        if self.shared is not None and entries:
            seal, keep = self.shared.sealer.seal, terms.keep_seconds
            self.shared.store.put_many(
                [StoreEntry(key, seal(key, value, ttl, keep), ttl + keep) for key, value, ttl in entries]
            )

    def open(self, key: bytes, data: bytes | None) -> Held | None:
        """What the store gave for a key, if there is anything and its seal is good."""
        return None if data is None or self.shared is None else self.shared.sealer.unseal(key, data)

    def remember(self, key: bytes, held: Held, terms: Terms) -> None:
        """Takes an answer out of the store into memory, where it ends when it does there."""
        if not self.memory.enabled:
            return
        ttl_seconds = min(held.left, terms.ttl_seconds * (1 + TTL_JITTER))
        keep_seconds = min(held.kept - held.left, terms.keep_seconds)
        self.memory.put(key, held.value, ttl_seconds, keep_seconds=keep_seconds, age=held.age)


class Computation:
    """Run once for the keys that a request leads, and once more for those whose other leader failed."""

    def __init__(self, levels: Levels, compute: Compute, terms: Terms, seconds: float | None) -> None:
        """`seconds`: the time that the request has left, None for any."""
        self.positions: dict[bytes, int] = {}
        """First position of each key that memory lacks."""
        self._levels = levels
        self._compute = compute
        self._terms = terms
        self._patience = math.inf if seconds is None else seconds * _PATIENCE

    async def run(self, group: Group) -> None:
        shared = self._levels.shared
        if shared is not None:
            keys = group.pending
            for key, data in zip(keys, await shared.store.get_many(keys), strict=True):
                self.land_stored(group, key, data, Origin.FOUND)
        if not group.pending or not group.wanted:
            return
        if shared is None or shared.flight is None:
            await self._lead(group, group.pending)
        else:
            await self._share_out(group, shared.flight)

    async def _lead(self, group: Group, keys: list[bytes]) -> None:
        computed = await self._compute([self.positions[key] for key in keys])
        if len(computed) != len(keys):
            raise RuntimeError(f"{len(keys)} items were to be computed, {len(computed)} came")
        answers = list(zip(keys, computed, strict=True))
        self._levels.keep([(key, item.outcome) for key, item in answers if item.cacheable], self._terms)
        for key, item in answers:
            group.land(key, item.outcome)

    async def _share_out(self, group: Group, flight: SharedFlight) -> None:
        waiting = _Waiting(self, group)
        won, others = await flight.claim(group.pending, waiting)
        if not others:
            await self._lead_claimed(group, won, flight)
            return
        async with asyncio.TaskGroup() as tasks:

            def lead(keys: list[bytes]) -> None:
                tasks.create_task(self._lead_claimed(group, keys, flight))

            lead(won)
            await flight.follow(others, waiting, self._patience, lead)

    async def _lead_claimed(self, group: Group, keys: list[bytes], flight: SharedFlight) -> None:
        try:
            if keys:
                await self._lead(group, keys)
        except TriremeError as error:  # theirs alone: what others compute may still come
            for key in keys:
                group.land(key, error)
        finally:
            flight.release(keys)

    def land_stored(self, group: Group, key: bytes, data: bytes | None, origin: Origin) -> bool:
        """Lands a key with what the store holds of it, if that will do for all who wait for it."""
        held = self._levels.open(key, data)
        if held is None or not group.takes(key, held):
            return False
        self._levels.remember(key, held, self._terms)
        group.land(key, held.value, origin=origin, left=held.left)
        return True


class _Waiting:
    """A group whose keys another gateway may answer."""

    def __init__(self, computation: Computation, group: Group) -> None:
        self._computation = computation
        self._group = group

    def wanted(self, keys: Iterable[bytes]) -> list[bytes]:
        return self._group.wanted_of(keys)

    def land_stored(self, key: bytes, data: bytes | None) -> bool:
        return self._computation.land_stored(self._group, key, data, Origin.AWAITED)
