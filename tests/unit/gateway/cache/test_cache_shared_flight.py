"""One computation a key over several gateways, here caches over one store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tests.support.caches import Bench, FakeStore, Model, rounds
from trireme_common.errors import Code, TriremeError
from trireme_gateway.cache.cache import CacheResult
from trireme_gateway.cache.events import Flight
from trireme_gateway.cache.freshness import Terms
from trireme_gateway.cache.ports import Claim


def gateways(count: int, seconds: float = 30.0) -> list[Bench]:
    store = FakeStore()
    return [Bench(store=store, flight_seconds=seconds) for _ in range(count)]


async def ask(bench: Bench, model: Model, wait_seconds: float | None = None) -> CacheResult:
    return await bench.cache.get_or_compute(model.keys, model, Terms(60), wait_seconds=wait_seconds)


async def test_simultaneous_askers_of_several_gateways_cause_one_computation() -> None:
    benches, model = gateways(3), Model([b"a", b"b"])
    model.gate.clear()
    tasks = [asyncio.create_task(ask(bench, model)) for bench in benches for _ in range(10)]
    await rounds()
    model.gate.set()
    results = await asyncio.gather(*tasks)
    assert [result.outcomes for result in results] == [[b"A", b"B"]] * 30
    assert sorted(result.status for result in results) == ["coalesced"] * 29 + ["miss"]
    assert model.calls == [[0, 1]]
    assert benches[0].counts.flights == {Flight.LED: 2}
    assert benches[1].counts.flights == benches[2].counts.flights == {Flight.ANSWERED: 2}


async def test_a_claim_is_given_back_behind_the_answer() -> None:
    (bench,), model = gateways(1), Model([b"a"])
    await ask(bench, model)
    assert set(bench.store.values) == {b"a"}
    assert not bench.store.claimed
    assert bench.store.claims == [[b"a"]]


class OvertakenStore(FakeStore):
    """Another gateway's answer comes between the lookup and the claim."""

    answer = b""

    async def claim_many(self, keys: Sequence[bytes], seconds: float) -> list[Claim]:
        self.values[b"a"] = self.answer
        return await super().claim_many(keys, seconds)


async def test_what_has_come_before_the_claim_is_not_computed_again() -> None:
    store = OvertakenStore()
    bench, model = Bench(store=store, flight_seconds=30), Model([b"a"])
    store.answer = bench.sealer.seal(b"a", b"A", 60)
    assert (await ask(bench, model)).outcomes == [b"A"]
    assert not model.calls
    assert not store.claimed


async def test_the_next_goes_on_where_the_holder_failed_or_died() -> None:
    for dies in (True, False):
        (one, two), model, failing = gateways(2), Model([b"a"]), Model([b"a"])
        failing.errors[b"a"] = TriremeError(Code.OVERLOADED, "busy")
        failing.gate.clear()
        holder = asyncio.create_task(ask(one, failing))
        await rounds()
        waiting = asyncio.create_task(ask(two, model))
        await rounds()
        assert not model.calls
        if dies:
            one.store.claimed.clear()  # its time in Redis is over
        else:
            failing.gate.set()
            assert isinstance((await holder).outcomes[0], TriremeError)
        assert (await waiting).outcomes == [b"A"]
        assert len(model.calls) == 1
        holder.cancel()
        await one.cache.close()


async def test_nobody_waits_longer_than_half_of_its_time() -> None:
    (one, two), model, stuck = gateways(2), Model([b"a"]), Model([b"a"])
    stuck.gate.clear()
    holder = asyncio.create_task(ask(one, stuck))
    await rounds()
    result = await ask(two, model, wait_seconds=0.2)
    assert (result.outcomes, result.status) == ([b"A"], "miss")
    assert two.counts.flights == {Flight.GIVEN_UP: 1}
    holder.cancel()
    await one.cache.close()


async def test_of_many_keys_each_gateway_computes_what_it_claimed() -> None:
    one, two = gateways(2)
    left, right = Model([b"a", b"b"]), Model([b"b", b"c"])
    left.gate.clear()
    first = asyncio.create_task(ask(one, left))
    await rounds()
    second = asyncio.create_task(ask(two, right))
    while not right.calls:
        await asyncio.sleep(0)
    left.gate.set()
    assert (await first).outcomes == [b"A", b"B"]
    result = await second
    assert (result.outcomes, result.statuses) == ([b"B", b"C"], ["coalesced", "miss"])
    assert (left.calls, right.calls) == ([[0, 1]], [[1]])


async def test_a_waiter_that_leaves_computes_nothing() -> None:
    (one, two), model, stuck = gateways(2), Model([b"a"]), Model([b"a"])
    stuck.gate.clear()
    holder = asyncio.create_task(ask(one, stuck))
    await rounds()
    waiting = asyncio.create_task(ask(two, model))
    await rounds()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    stuck.gate.set()
    await holder
    await rounds()
    assert not model.calls
    assert asyncio.all_tasks() == {asyncio.current_task()}
