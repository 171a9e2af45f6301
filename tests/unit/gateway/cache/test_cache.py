from __future__ import annotations

import asyncio

import pytest

from tests.support.caches import Bench, Model, rounds
from trireme_common.errors import Code, TriremeError
from trireme_gateway.cache.cache import Computed, Status
from trireme_gateway.cache.events import Level, Rejection
from trireme_gateway.cache.freshness import Terms


async def test_a_miss_is_computed_and_a_second_question_hits_memory() -> None:
    bench, model = Bench(), Model([b"a", b"b"])
    first = await bench.cache.get_or_compute(model.keys, model, Terms(60))
    second = await bench.cache.get_or_compute(model.keys, model, Terms(60))
    assert first.outcomes == second.outcomes == [b"A", b"B"]
    assert (first.status, second.status) == (Status.MISS, Status.HIT)
    assert model.calls == [[0, 1]]
    assert (bench.counts.misses, bench.counts.hits[Level.MEMORY]) == (2, 2)
    assert bench.counts.size_bytes == bench.memory.size_bytes > 0


async def test_a_hit_in_memory_never_suspends() -> None:
    bench, model = Bench(), Model([b"a", b"b"])
    await bench.cache.get_or_compute(model.keys, model, Terms(60))
    question = bench.cache.get_or_compute([b"b", b"a", b"b"], model, Terms(60))
    with pytest.raises(StopIteration) as stop:
        question.send(None)
    assert stop.value.value.outcomes == [b"B", b"A", b"B"]


async def test_another_gateways_answer_is_taken_from_the_store_and_kept() -> None:
    writer, reader = Bench(), Bench()
    model = Model([b"a"])
    await writer.cache.get_or_compute(model.keys, model, Terms(60))
    reader.store.values = writer.store.values
    for level in (Level.REDIS, Level.MEMORY):
        result = await reader.cache.get_or_compute([b"a"], model, Terms(60))
        assert (result.outcomes, result.status) == ([b"A"], Status.HIT)
        assert reader.counts.hits[level] == 1
    assert len(model.calls) == 1


async def test_hits_and_misses_of_one_request_keep_their_places() -> None:
    bench = Bench()
    warm = Model([b"b", b"d"])
    await bench.cache.get_or_compute(warm.keys, warm, Terms(60))
    model = Model([b"a", b"b", b"c", b"d", b"a"])
    result = await bench.cache.get_or_compute(model.keys, model, Terms(60))
    assert result.outcomes == [b"A", b"B", b"C", b"D", b"A"]
    assert result.statuses == ["miss", "hit", "miss", "hit", "coalesced"]
    assert result.status == "miss"
    assert model.calls == [[0, 2]]


async def test_one_bad_item_fails_alone_and_is_not_kept() -> None:
    bench, model = Bench(), Model([b"a", b"bad", b"c"])
    model.errors[b"bad"] = TriremeError(Code.BLANK_TEXT, "blank")
    for calls in (1, 2):
        result = await bench.cache.get_or_compute(model.keys, model, Terms(60))
        assert result.outcomes[0] == b"A"
        assert result.outcomes[1] is model.errors[b"bad"]
        assert len(model.calls) == calls
    assert model.calls[1] == [1]
    assert set(bench.store.values) == {b"a", b"c"}


async def test_what_is_not_cacheable_is_answered_but_not_kept() -> None:
    bench, model = Bench(), Model([b"a"], cacheable=False)
    for _ in range(2):
        assert (await bench.cache.get_or_compute([b"a"], model, Terms(60))).outcomes == [b"A"]
    assert len(model.calls) == 2
    assert not bench.store.values


async def test_the_same_question_at_the_same_time_is_computed_once() -> None:
    bench, model = Bench(), Model([b"a"])
    model.gate.clear()
    tasks = [asyncio.create_task(bench.cache.get_or_compute([b"a"], model, Terms(60))) for _ in range(100)]
    await rounds()
    model.gate.set()
    results = await asyncio.gather(*tasks)
    assert [result.outcomes for result in results] == [[b"A"]] * 100
    assert [result.status for result in results] == ["miss"] + ["coalesced"] * 99
    assert len(model.calls) == len(bench.store.lookups) == 1


async def test_the_leader_is_cancelled_and_all_waiters_are_answered() -> None:
    bench, model = Bench(), Model([b"a"])
    model.gate.clear()
    tasks = [asyncio.create_task(bench.cache.get_or_compute([b"a"], model, Terms(60))) for _ in range(101)]
    await rounds()
    tasks[0].cancel()
    await rounds()
    model.gate.set()
    results = await asyncio.gather(*tasks[1:])
    assert [result.outcomes for result in results] == [[b"A"]] * 100
    assert len(model.calls) == 1


async def test_a_request_that_leaves_during_the_lookup_starts_no_computation() -> None:
    bench, model = Bench(), Model([b"a"])
    bench.store.gate.clear()
    task = asyncio.create_task(bench.cache.get_or_compute([b"a"], model, Terms(60)))
    await rounds()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    bench.store.gate.set()
    await rounds()
    assert not model.calls


async def test_who_only_waited_for_a_stored_key_does_not_keep_the_rest_alive() -> None:
    bench, model = Bench(), Model([b"a", b"b"])
    bench.store.values[b"a"] = bench.sealer.seal(b"a", b"A", 60)
    bench.store.gate.clear()
    leader = asyncio.create_task(bench.cache.get_or_compute(model.keys, model, Terms(60)))
    joined = asyncio.create_task(bench.cache.get_or_compute([b"a"], model, Terms(60)))
    await rounds()
    leader.cancel()
    bench.store.gate.set()
    result = await joined
    assert (result.outcomes, result.status) == ([b"A"], "hit")
    await rounds()
    assert not model.calls


async def test_the_joined_survive_a_leader_whose_time_was_up() -> None:
    bench, late, healthy = Bench(), Model([b"a"]), Model([b"a"])
    late.errors[b"a"] = TriremeError(Code.DEADLINE_EXCEEDED, "late")
    late.gate.clear()
    leader = asyncio.create_task(bench.cache.get_or_compute([b"a"], late, Terms(60)))
    joined = [asyncio.create_task(bench.cache.get_or_compute([b"a"], healthy, Terms(60))) for _ in range(10)]
    await rounds()
    late.gate.set()
    assert (await leader).outcomes == [late.errors[b"a"]]
    results = await asyncio.gather(*joined)
    assert [result.outcomes for result in results] == [[b"A"]] * 10
    assert (len(late.calls), len(healthy.calls)) == (1, 1)


async def test_a_failed_request_and_a_bug_are_the_items_errors() -> None:
    bench = Bench()

    async def overloaded(positions: list[int]) -> list[Computed]:
        raise TriremeError(Code.OVERLOADED, "busy")

    async def broken(positions: list[int]) -> list[Computed]:
        raise KeyError("secret")

    async def short(positions: list[int]) -> list[Computed]:
        return []

    for compute, code in ((overloaded, Code.OVERLOADED), (broken, Code.INTERNAL), (short, Code.INTERNAL)):
        result = await bench.cache.get_or_compute([b"a", b"b"], compute, Terms(60))
        for outcome in result.outcomes:
            assert isinstance(outcome, TriremeError)
            assert outcome.code is code
            assert "secret" not in outcome.detail
    assert not bench.store.values


async def test_a_poisoned_value_is_a_counted_miss() -> None:
    bench, model = Bench(), Model([b"a", b"b", b"c"])
    good = bench.sealer.seal(b"a", b"evil", 60)
    bench.store.values = {b"a": good[:-1] + b"!", b"b": good, b"c": b"\x80\x04."}
    result = await bench.cache.get_or_compute(model.keys, model, Terms(60))
    assert result.outcomes == [b"A", b"B", b"C"]
    assert result.status == "miss"
    assert bench.counts.rejected == {Rejection.MAC: 2, Rejection.MAGIC: 1}


async def test_times_to_live_are_spread_around_the_models() -> None:
    bench = Bench()
    model = Model([b"%d" % number for number in range(200)])
    await bench.cache.get_or_compute(model.keys, model, Terms(100))
    assert 90 <= min(bench.store.ttls) < 95
    assert 105 < max(bench.store.ttls) <= 110


async def test_without_redis_memory_alone_serves() -> None:
    bench, model = Bench(shared=False), Model([b"a"])
    for status in ("miss", "hit"):
        assert (await bench.cache.get_or_compute([b"a"], model, Terms(60))).status == status
    await bench.cache.close()


async def test_with_the_store_alone_every_hit_comes_from_there() -> None:
    bench, model = Bench(memory_bytes=0), Model([b"a"])
    for _ in range(3):
        assert (await bench.cache.get_or_compute([b"a"], model, Terms(60))).outcomes == [b"A"]
    assert (len(model.calls), bench.counts.hits[Level.REDIS]) == (1, 2)


async def test_off_computes_everything_and_counts_nothing() -> None:
    for bench, ttl in ((Bench(memory_bytes=0, shared=False), 60.0), (Bench(), 0.0)):
        model = Model([b"a", b"a"])
        for _ in range(2):
            result = await bench.cache.get_or_compute(model.keys, model, Terms(ttl))
            assert (result.outcomes, result.status) == ([b"A", b"A"], "off")
        assert model.calls == [[0, 1]] * 2
        assert bench.counts.misses == 0


async def test_no_keys_ask_nobody() -> None:
    bench, model = Bench(), Model([])
    result = await bench.cache.get_or_compute([], model, Terms(60))
    assert (result.outcomes, result.status, model.calls) == ([], "off", [])


async def test_closing_answers_who_waits_and_closes_the_store() -> None:
    bench, model = Bench(), Model([b"a"])
    model.gate.clear()
    tasks = [asyncio.create_task(bench.cache.get_or_compute([b"a"], model, Terms(60))) for _ in range(3)]
    await rounds()
    await bench.cache.close()
    for result in await asyncio.gather(*tasks):
        outcome = result.outcomes[0]
        assert isinstance(outcome, TriremeError)
        assert outcome.code is Code.CANCELLED
    assert bench.store.closed
