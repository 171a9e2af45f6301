"""What the cache tells of look-ups: items that hit, items that were computed, and time without computing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tests.support.catalogs import descriptor
from trireme_gateway.answer_cache import AnswerCache, Payloads
from trireme_gateway.cache.cache import ResultCache
from trireme_gateway.cache.events import CacheCounts
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.catalog import Route
from trireme_gateway.context import RequestContext

ROUTE = Route("m.inference", "m", "3", descriptor(cache_enabled=True), ("p", "i", "q"))


@dataclass
class Told:
    """LookUps that are kept: hits and misses by model and version, and seconds."""

    counts: list[tuple[str, str, int, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def looked_up(self, model: str, version: str, hits: int, misses: int, seconds: float) -> None:
        self.counts.append((model, version, hits, misses))
        self.seconds.append(seconds)


@dataclass
class Gateway:
    """What the pipeline does with a cache. By the request's account computing gives 100 seconds back, so that
    it shows in what is left for the look-up."""

    told: Told = field(default_factory=Told)
    gate: asyncio.Event | None = None

    def __post_init__(self) -> None:
        results = ResultCache(MemoryCache(1 << 20), None, CacheCounts())
        self.cache = AnswerCache(results, told=self.told)

    async def ask(self, *items: bytes, route: Route = ROUTE) -> Payloads:
        context = RequestContext("id", time.monotonic() + 5)
        context.model, context.version = route.model, route.version
        keys = self.cache.keys(route, items)
        known = self.cache.remembered(keys, context)
        return known or await self.cache.answer(route, keys, items, self._compute, context)

    async def _compute(self, route: Route, items: Sequence[bytes], context: RequestContext) -> Payloads:
        if self.gate is not None:
            await self.gate.wait()
        context.spend("inference", -100.0)
        context.spend("queue", -1000.0)
        return list(items)


async def test_items_are_told_under_the_name_of_the_model_whoever_asked() -> None:
    gateway = Gateway()
    await gateway.ask(b"x", b"y")
    await gateway.ask(b"x", b"z", b"y")
    await gateway.ask(b"z")
    assert gateway.told.counts == [("m", "3", 0, 2), ("m", "3", 2, 1), ("m", "3", 1, 0)]
    first, second, third = gateway.told.seconds
    assert min(first, second) >= 100 > 5 > third >= 0
    assert max(first, second) < 200


async def test_whoever_waits_for_another_s_computation_hits() -> None:
    gateway = Gateway(gate=asyncio.Event())
    both = [asyncio.create_task(gateway.ask(b"x")) for _ in range(2)]
    await asyncio.sleep(0)
    assert gateway.gate is not None
    gateway.gate.set()
    await asyncio.gather(*both)
    assert sorted(gateway.told.counts) == [("m", "3", 0, 1), ("m", "3", 1, 0)]


async def test_a_model_whose_answers_are_not_kept_is_not_told() -> None:
    gateway = Gateway()
    route = replace(ROUTE, descriptor=descriptor(cache_enabled=True, cache_ttl_seconds=0))
    await gateway.ask(b"x", route=route)
    assert gateway.told.counts == []
