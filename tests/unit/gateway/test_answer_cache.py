"""The cache as requests meet it: keys of routes, and what their `cache-control` asks for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from tests.support.caches import Bench, rounds
from tests.support.catalogs import descriptor
from trireme_common.errors import Code, TriremeError
from trireme_gateway.answer_cache import AnswerCache, Payloads, StalePolicy
from trireme_gateway.catalog import Route
from trireme_gateway.context import RequestContext

ROUTE = Route("m", "m", "1", descriptor(cache_enabled=True, cache_ttl_seconds=100), ("p", "i", "q"))
ITEMS = [b"x", b"y"]


@dataclass
class Stages:
    """Answers every item with the number of the call; remembers the contexts."""

    contexts: list[RequestContext] = field(default_factory=list)
    items: list[list[bytes]] = field(default_factory=list)

    async def __call__(self, route: Route, items: Sequence[bytes], context: RequestContext) -> Payloads:
        self.contexts.append(context)
        self.items.append(list(items))
        return [b"%s %d" % (item, len(self.items)) for item in items]


@dataclass
class Gateway:
    """What the pipeline does with a cache."""

    stale: StalePolicy | None = None
    bench: Bench = field(default_factory=Bench)
    stages: Stages = field(default_factory=Stages)

    def __post_init__(self) -> None:
        self.cache = AnswerCache(self.bench.cache, self.stale)

    async def ask(
        self, cache_control: str = "", items: Sequence[bytes] = (b"x",), route: Route = ROUTE
    ) -> tuple[Payloads, RequestContext]:
        context = RequestContext("id", time.monotonic() + 5, cache_control=cache_control)
        if cache_control:
            return await self.cache.answer_as_told(route, items, self.stages, context), context
        keys = self.cache.keys(route, items)
        known = self.cache.remembered(keys, context)
        if known is None:
            known = await self.cache.answer(route, keys, items, self.stages, context)
        return known, context


async def test_no_cache_computes_and_keeps() -> None:
    gateway = Gateway()
    await gateway.ask()
    payloads, context = await gateway.ask("no-cache")
    assert (payloads, context.cache) == ([b"x 2"], "miss")
    payloads, context = await gateway.ask()
    assert (payloads, context.cache) == ([b"x 2"], "hit")


async def test_no_store_computes_and_keeps_nothing() -> None:
    gateway = Gateway()
    await gateway.ask()
    payloads, context = await gateway.ask("no-store", ITEMS)
    assert (payloads, context.cache) == ([b"x 2", b"y 2"], "off")
    payloads, context = await gateway.ask(items=ITEMS)
    assert (payloads, context.cache) == ([b"x 1", b"y 3"], "miss")


async def test_directives_that_ask_for_nothing_leave_the_cache_as_it_is() -> None:
    gateway = Gateway()
    assert (await gateway.ask("no-transform"))[1].cache == "miss"
    assert (await gateway.ask("max-age=1000"))[1].cache == "hit"


async def test_only_if_cached_answers_what_there_is_and_asks_no_stage() -> None:
    gateway = Gateway()
    await gateway.ask()
    (found, missing), context = await gateway.ask("only-if-cached", ITEMS)
    assert found == b"x 1"
    assert isinstance(missing, TriremeError)
    assert missing.code is Code.NOT_CACHED
    assert len(gateway.stages.items) == 1
    assert context.cache == "miss"


@pytest.mark.parametrize("header", ["only-if-cached", "only-if-cached, no-store"])
async def test_only_if_cached_of_a_model_that_is_not_cached_is_refused(header: str) -> None:
    gateway = Gateway()
    off = replace(ROUTE, descriptor=replace(ROUTE.descriptor, cache_enabled=False))
    payloads, _ = await gateway.ask(header, route=off)
    assert isinstance(payloads[0], TriremeError)
    assert "'m'" in payloads[0].detail
    assert not gateway.stages.items


async def test_a_model_that_is_not_cached_stays_so_whatever_is_asked() -> None:
    gateway = Gateway()
    off = replace(ROUTE, descriptor=replace(ROUTE.descriptor, cache_enabled=False))
    for _ in range(2):
        assert (await gateway.ask("max-stale=50", route=off))[1].cache == "off"
    assert len(gateway.stages.items) == 2


async def test_a_stale_answer_is_told_and_refreshed_in_a_context_of_its_own() -> None:
    gateway = Gateway(StalePolicy(seconds=30, refresh_seconds=7))
    await gateway.ask()
    gateway.bench.clock.now += 120
    payloads, context = await gateway.ask()
    assert (payloads, context.cache) == ([b"x 1"], "hit")
    assert 10 <= context.stale_seconds <= 30
    await rounds()
    refreshed = gateway.stages.contexts[1]
    assert refreshed is not context
    assert refreshed.request_id == "id"
    assert refreshed.deadline - time.monotonic() > 6
    payloads, context = await gateway.ask()
    assert (payloads, context.stale_seconds) == ([b"x 2"], 0)


@pytest.mark.parametrize(
    ("policy", "header", "served"),
    [
        (StalePolicy(), "", False),
        (StalePolicy(seconds=60), "", True),
        (StalePolicy(seconds=60, by_model={"m": 0}), "", False),
        (StalePolicy(by_model={"m": 60}), "", True),
        (StalePolicy(by_model={"other": 60}), "", False),
        (StalePolicy(longest_seconds=60), "", False),
        (StalePolicy(longest_seconds=60), "max-stale=50", True),
        (StalePolicy(longest_seconds=60), "max-stale", True),
        (StalePolicy(longest_seconds=5), "max-stale=50", False),
        (StalePolicy(), "max-stale=50", False),
        (StalePolicy(seconds=60), "max-stale=0", False),
        (StalePolicy(seconds=60), "max-age=10", False),
        (StalePolicy(seconds=60), "min-fresh=1", False),
    ],
)
async def test_who_gets_an_answer_that_is_past_its_time(
    policy: StalePolicy, header: str, served: bool
) -> None:
    """Between 10 and 30 seconds past it."""
    gateway = Gateway(policy)
    await gateway.ask()
    gateway.bench.clock.now += 120
    payloads, context = await gateway.ask(header)
    assert payloads == ([b"x 1"] if served else [b"x 2"])
    assert (context.stale_seconds > 0) == served
    assert context.cache == ("hit" if served else "miss")


@pytest.mark.parametrize(
    "other",
    [
        replace(ROUTE, version="2"),
        replace(ROUTE, name="b", model="b"),
        replace(ROUTE, name="m.inference", bare=True),
        replace(ROUTE, digests=("p2", "i", "q")),
        replace(ROUTE, digests=("p", "i2", "q")),
        replace(ROUTE, digests=("p", "i", "q2")),
        replace(ROUTE, digests=("pi", "", "q")),
        replace(ROUTE, descriptor=replace(ROUTE.descriptor, cache_scope="shared")),
    ],
    ids=["version", "model", "bare", "preprocess", "inference", "postprocess", "boundaries", "scope"],
)
async def test_another_route_never_finds_this_ones_answers(other: Route) -> None:
    gateway = Gateway()
    await gateway.ask()
    payloads, context = await gateway.ask(route=other)
    assert (payloads, context.cache) == ([b"x 2"], "miss")
    payloads, context = await gateway.ask()
    assert (payloads, context.cache) == ([b"x 1"], "hit"), "nor was anything of this one lost"


async def test_what_comes_back_as_it_was_finds_its_answers_again() -> None:
    gateway = Gateway()
    await gateway.ask()
    await gateway.ask(route=replace(ROUTE, digests=("p", "i2", "q")))
    payloads, context = await gateway.ask(route=replace(ROUTE))
    assert (payloads, context.cache) == ([b"x 1"], "hit")


async def test_a_models_own_time_to_live_is_kept() -> None:
    gateway = Gateway()
    short = replace(ROUTE, descriptor=replace(ROUTE.descriptor, cache_ttl_seconds=10))
    await gateway.ask(route=short)
    await gateway.ask(route=replace(ROUTE, name="long", model="long"))
    gateway.bench.clock.now += 12
    assert (await gateway.ask(route=short))[1].cache == "miss"
    assert (await gateway.ask(route=replace(ROUTE, name="long", model="long")))[1].cache == "hit"
