"""Result caches over a store in this process, with clocks that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from trireme_common.errors import TriremeError
from trireme_gateway.cache.cache import Computed, ResultCache, SharedStore
from trireme_gateway.cache.entry import Sealer
from trireme_gateway.cache.events import CacheCounts
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.cache.ports import Claim, StoreEntry, Watch
from trireme_gateway.cache.shared_flight import SharedFlight

SECRET = b"a secret of this installation"


class Clock:
    """Seconds, as far as a test says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeStore:
    """CacheStore in a dict; lookups wait for the gate. Times to live are kept in mind, not kept."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.ttls: list[float] = []
        self.lookups: list[list[bytes]] = []
        self.claimed: set[bytes] = set()
        self.claims: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        self.lookups.append(list(keys))
        await self.gate.wait()
        return [self.values.get(key) for key in keys]

    async def claim_many(self, keys: Sequence[bytes], seconds: float) -> list[Claim]:
        """As a Redis would; a claim never ends by itself here."""
        self.claims.append(list(keys))
        claims = []
        for key in keys:
            claims.append(Claim(key not in self.claimed, self.values.get(key)))
            self.claimed.add(key)
        return claims

    async def watch_many(self, keys: Sequence[bytes]) -> list[Watch]:
        await self.gate.wait()
        return [Watch(key in self.claimed, self.values.get(key)) for key in keys]

    def put_many(self, entries: Sequence[StoreEntry]) -> None:
        self.values.update((entry.key, entry.value) for entry in entries)
        self.ttls += [entry.ttl_seconds for entry in entries]

    def release_many(self, keys: Sequence[bytes]) -> None:
        self.claimed.difference_update(keys)

    async def close(self) -> None:
        self.closed = True


class Model:
    """Answers keys by their capitals; knows what it was asked."""

    def __init__(self, keys: Sequence[bytes], *, cacheable: bool = True) -> None:
        self.keys = keys
        self.cacheable = cacheable
        self.calls: list[list[int]] = []
        self.errors: dict[bytes, TriremeError] = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, positions: list[int]) -> list[Computed]:
        self.calls.append(positions)
        await self.gate.wait()
        return [
            Computed(self.errors.get(key, key.upper()), self.cacheable)
            for key in (self.keys[position] for position in positions)
        ]


class Bench:
    """A cache with everything in view."""

    def __init__(
        self,
        *,
        memory_bytes: int = 1 << 20,
        shared: bool = True,
        store: FakeStore | None = None,
        flight_seconds: float = 0.0,
    ) -> None:
        self.clock = Clock()
        self.counts = CacheCounts()
        self.store = store or FakeStore()
        self.memory = MemoryCache(memory_bytes, clock=self.clock)
        self.sealer = Sealer(SECRET, self.counts, wall_clock=self.clock)
        flight = SharedFlight(self.store, self.counts, seconds=flight_seconds) if flight_seconds else None
        self.cache = ResultCache(
            self.memory, SharedStore(self.store, self.sealer, flight) if shared else None, self.counts
        )


async def rounds() -> None:
    """Lets everything run that can."""
    for _ in range(8):
        await asyncio.sleep(0)
