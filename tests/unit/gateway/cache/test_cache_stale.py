"""Stale answers: who gets them, and what computes new ones."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.caches import Bench, FakeStore, Model, rounds
from trireme_common.errors import Code, TriremeError
from trireme_gateway.cache.cache import CacheResult
from trireme_gateway.cache.events import Level, Refresh
from trireme_gateway.cache.freshness import FRESH, Freshness, Terms
from trireme_gateway.cache.refresher import MAX_KEYS

STALE_OK = Terms(60, keep_seconds=30, freshness=Freshness(-30))
"""Of answers that live 54 to 66 seconds."""
FRESH_ONLY = Terms(60, keep_seconds=30, freshness=FRESH)


async def ask(bench: Bench, model: Model, terms: Terms = STALE_OK) -> CacheResult:
    return await bench.cache.get_or_compute(model.keys, model, terms, refresh=model)


async def test_a_stale_answer_is_given_at_once_and_computed_anew_once() -> None:
    bench, model = Bench(), Model([b"a"])
    await ask(bench, model)
    bench.clock.now += 70
    model.gate.clear()
    for _ in range(20):
        result = await ask(bench, model)
        assert (result.outcomes, result.status) == ([b"A"], "hit")
        assert result.left is not None
        assert -16 <= result.left <= -4
        await rounds()
    assert len(model.calls) == 2
    model.gate.set()
    await rounds()
    assert (await ask(bench, model)).left is None
    assert bench.counts.stale == 20
    assert bench.counts.hits[Level.MEMORY] == 21
    assert bench.counts.refreshes == {Refresh.DONE: 1}


async def test_after_its_window_an_answer_is_computed_while_the_caller_waits() -> None:
    bench, model = Bench(), Model([b"a"])
    await ask(bench, model)
    bench.clock.now += 97
    assert (await ask(bench, model)).status == "miss"


async def test_who_takes_no_stale_answers_gets_none_from_either_level() -> None:
    for memory_bytes in (1 << 20, 0):
        bench, model = Bench(memory_bytes=memory_bytes), Model([b"a"])
        await ask(bench, model, FRESH_ONLY)
        bench.clock.now += 70
        assert (await ask(bench, model, FRESH_ONLY)).status == "miss"


async def test_a_stale_answer_of_another_gateway_is_given_and_computed_anew() -> None:
    store = FakeStore()
    writer, reader = Bench(store=store), Bench(store=store)
    model = Model([b"a"])
    await ask(writer, model)
    reader.clock.now += 70
    result = await ask(reader, model)
    assert (result.outcomes, result.status) == ([b"A"], "hit")
    assert result.left is not None
    await rounds()
    assert len(model.calls) == 2
    assert reader.counts.refreshes == {Refresh.DONE: 1}
    assert (await ask(reader, model)).left is None


async def test_a_refresh_finds_what_another_gateway_computed_anew() -> None:
    store = FakeStore()
    one, two = Bench(store=store), Bench(store=store)
    model = Model([b"a"])
    for bench in (one, two):
        await ask(bench, model)
    for bench in (one, two):
        bench.clock.now += 70
        assert (await ask(bench, model)).left is not None
        await rounds()
    assert len(model.calls) == 2, "once at first, once anew"


async def test_fresh_stale_and_missing_items_keep_their_places() -> None:
    bench = Bench()
    old, new = Model([b"a"]), Model([b"b"])
    await ask(bench, old)
    bench.clock.now += 70
    await ask(bench, new)
    model = Model([b"b", b"c", b"a", b"a"])
    result = await ask(bench, model)
    assert result.outcomes == [b"B", b"C", b"A", b"A"]
    assert result.statuses == ["hit", "miss", "hit", "hit"]
    await rounds()
    assert sorted(model.calls) == [[1], [3]]


async def test_the_strictest_of_those_who_wait_decides_whether_a_stale_answer_will_do() -> None:
    store = FakeStore()
    writer, reader = Bench(store=store), Bench(store=store, memory_bytes=0)
    model = Model([b"a"])
    await ask(writer, model)
    reader.clock.now += 70
    store.gate.clear()
    tolerant = asyncio.create_task(ask(reader, model))
    strict = asyncio.create_task(ask(reader, model, FRESH_ONLY))
    await rounds()
    store.gate.set()
    assert (await tolerant).left is None
    assert (await strict).left is None
    assert len(model.calls) == 2


async def test_a_refresh_that_fails_leaves_the_answer_and_is_tried_again() -> None:
    bench, model = Bench(), Model([b"a"])
    await ask(bench, model)
    bench.clock.now += 70
    model.errors[b"a"] = TriremeError(Code.OVERLOADED, "busy")
    for _ in range(2):
        assert (await ask(bench, model)).outcomes == [b"A"]
        await rounds()
    assert bench.counts.refreshes == {Refresh.FAILED: 2}


async def test_refreshes_are_bounded() -> None:
    bench, model = Bench(), Model([b"%d" % number for number in range(MAX_KEYS + 10)])
    await ask(bench, model)
    bench.clock.now += 70
    model.gate.clear()
    assert (await ask(bench, model)).status == "hit"
    await rounds()
    assert [len(call) for call in model.calls[1:]] == [MAX_KEYS]
    assert bench.counts.refreshes == {Refresh.DROPPED: 10}
    await bench.cache.close()


async def test_closing_ends_a_refresh() -> None:
    bench, model = Bench(), Model([b"a"])
    await ask(bench, model)
    bench.clock.now += 70
    model.gate.clear()
    await ask(bench, model)
    await rounds()
    await bench.cache.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(("max_age", "takes"), [(80, True), (5, False)])
async def test_a_request_may_bound_the_age(max_age: float, takes: bool) -> None:
    bench, model = Bench(), Model([b"a"])
    await ask(bench, model)
    bench.clock.now += 20
    result = await ask(bench, model, Terms(60, freshness=Freshness(max_age=max_age)))
    assert result.status == ("hit" if takes else "miss")


async def test_looking_computes_nothing_and_says_what_is_not_there() -> None:
    store = FakeStore()
    writer, reader = Bench(store=store), Bench(store=store)
    model = Model([b"a"])
    await ask(writer, model)
    result = await reader.cache.look([b"a", b"b"], FRESH_ONLY)
    assert result.outcomes[0] == b"A"
    assert isinstance(result.outcomes[1], TriremeError)
    assert result.outcomes[1].code is Code.NOT_CACHED
    assert result.statuses == ["hit", "miss"]
    assert len(model.calls) == 1
    assert (await reader.cache.look([b"a"], FRESH_ONLY)).status == "hit"
    assert reader.counts.hits == {Level.REDIS: 1, Level.MEMORY: 1}


async def test_computing_anew_asks_nobody_and_keeps_the_answer() -> None:
    bench, model = Bench(), Model([b"a", b"b"])
    for _ in range(2):
        result = await bench.cache.compute_anew(model.keys, model, FRESH_ONLY)
        assert (result.outcomes, result.status) == ([b"A", b"B"], "miss")
    assert model.calls == [[0, 1]] * 2
    assert not bench.store.lookups
    assert bench.counts.bypassed == 4
    assert (await ask(bench, model)).status == "hit"
