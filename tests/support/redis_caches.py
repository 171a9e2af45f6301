"""Result caches of gateways over a real Redis, and a model that counts what it is asked."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from trireme_gateway.cache.cache import Computed, ResultCache, SharedStore, Status
from trireme_gateway.cache.entry import Sealer
from trireme_gateway.cache.events import CacheCounts, Level
from trireme_gateway.cache.freshness import Terms
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.cache.open_redis import open_store
from trireme_gateway.cache.redis_address import parse_redis_url
from trireme_gateway.cache.redis_client import RedisAccess, RedisLimits, RedisTls
from trireme_gateway.cache.shared_flight import SharedFlight

SECRET = b"a secret of this installation"
PATIENT = RedisLimits(timeout_seconds=5.0)
"""For tests about counts, on machines that may be busy."""
HASTY = RedisLimits(timeout_seconds=0.5)
"""For tests in which servers die: nobody waits long for a dead one, and what is alive is heard."""


class Gateway:
    """A cache as a gateway has it, here without memory, over a model that answers `key * 3`."""

    def __init__(
        self,
        url: str,
        limits: RedisLimits | None = None,
        memory_bytes: int = 0,
        *,
        tls: RedisTls | None = None,
        flight_seconds: float = 0.0,
        model_seconds: float = 0.001,
    ) -> None:
        limits = limits or RedisLimits()
        self.counts = CacheCounts()
        access = RedisAccess(parse_redis_url(url), tls)
        self.store = open_store(access, self.counts, limits)
        flight = SharedFlight(self.store, self.counts, seconds=flight_seconds) if flight_seconds else None
        shared = SharedStore(self.store, Sealer(SECRET, self.counts), flight)
        self.cache = ResultCache(MemoryCache(memory_bytes), shared, self.counts)
        self.computed: Counter[bytes] = Counter()
        self._model_seconds = model_seconds

    async def ask(self, *keys: bytes) -> Status:
        """Asks and checks the answers."""

        async def compute(positions: list[int]) -> list[Computed]:
            self.computed.update(keys[position] for position in positions)
            await asyncio.sleep(self._model_seconds)
            return [Computed(keys[position] * 3) for position in positions]

        result = await self.cache.get_or_compute(keys, compute, Terms(60), wait_seconds=30)
        assert result.outcomes == [key * 3 for key in keys]
        return result.status


@contextlib.asynccontextmanager
async def gateway(
    url: str, limits: RedisLimits | None = None, memory_bytes: int = 0, **options: object
) -> AsyncIterator[Gateway]:
    """A gateway's cache; `options` as `Gateway` has them."""
    running = Gateway(url, limits, memory_bytes, **options)  # type: ignore[arg-type]
    try:
        yield running
    finally:
        await running.cache.close()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


async def hits_redis(gateway: Gateway, key: bytes) -> bool:
    """Whether a question is answered from Redis."""
    before = gateway.counts.hits[Level.REDIS]
    await gateway.ask(key)
    return gateway.counts.hits[Level.REDIS] > before
