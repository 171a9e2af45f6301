"""Keys at several servers, here stores in this process, and a topology that changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from tests.support.caches import FakeStore
from trireme_gateway.cache.events import CacheCounts, Fault
from trireme_gateway.cache.ports import Claim, StoreEntry, Watch
from trireme_gateway.cache.redis_address import Endpoint
from trireme_gateway.cache.redis_store import claim_name, value_name
from trireme_gateway.cache.routed_store import RoutedStore
from trireme_gateway.cache.topology import SLOTS, Shard, find_endpoint, slot_table

ONE, TWO, THREE = Endpoint("one", 1), Endpoint("two", 2), Endpoint("three", 3)
# A digest may hold braces, between which the cluster looks for the part that counts.
KEYS = [b"%d" % number for number in range(93)] + [b"a{%d}" % number for number in range(7)]


class FakeTopology:
    def __init__(self, *shards: Shard) -> None:
        self.shards: list[Shard] | None = list(shards)
        self.looks = 0

    async def look(self) -> list[Shard]:
        self.looks += 1
        if self.shards is None:
            raise ConnectionError("nobody knows")
        return self.shards


class Servers:
    """Stores by endpoint, and what each was given to call in doubt."""

    def __init__(self) -> None:
        self.stores: dict[Endpoint, FakeStore] = {}
        self.doubts: dict[Endpoint, Callable[[], None]] = {}

    def open(self, endpoint: Endpoint, doubt: Callable[[], None]) -> FakeStore:
        self.doubts[endpoint] = doubt
        self.stores[endpoint] = FakeStore()
        return self.stores[endpoint]


def halves(low: Endpoint, high: Endpoint) -> list[Shard]:
    return [Shard(low, 0, SLOTS // 2 - 1), Shard(high, SLOTS // 2, SLOTS - 1)]


@asynccontextmanager
async def routed(topology: FakeTopology) -> AsyncIterator[tuple[RoutedStore, Servers, CacheCounts]]:
    servers, counts = Servers(), CacheCounts()
    store = RoutedStore(topology, servers.open, counts)
    try:
        await until(lambda: topology.looks > 0)
        yield store, servers, counts
    finally:
        await store.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def entries(keys: Sequence[bytes]) -> list[StoreEntry]:
    return [StoreEntry(key, b"value of " + key, 60) for key in keys]


async def test_every_key_is_at_the_server_of_its_slot() -> None:
    async with routed(FakeTopology(*halves(ONE, TWO))) as (store, servers, counts):
        store.put_many(entries(KEYS))
        for endpoint, found in servers.stores.items():
            assert len(found.values) > 20
            for key in found.values:
                assert (key_slot(value_name(key)) < SLOTS // 2) == (endpoint == ONE)
        assert await store.get_many(KEYS) == [b"value of " + key for key in KEYS]
        assert all(len(found.lookups) == 1 for found in servers.stores.values())
        assert await store.claim_many([b"1", b"new"], 1) == [Claim(True, b"value of 1"), Claim(True, None)]
        assert await store.claim_many([b"new"], 1) == [Claim(False, None)]
        assert await store.watch_many([b"new", b"2"]) == [Watch(True), Watch(False, b"value of 2")]
        store.release_many([b"new"])
        assert await store.watch_many([b"new"]) == [Watch(False)]
        assert not counts.errors


async def test_who_is_alone_has_every_key() -> None:
    async with routed(FakeTopology(Shard(ONE))) as (store, servers, _):
        store.put_many(entries(KEYS))
        assert await store.get_many(KEYS) == [b"value of " + key for key in KEYS]
        assert list(servers.stores) == [ONE]


async def test_keys_that_nobody_has_are_misses() -> None:
    topology = FakeTopology(Shard(ONE, 0, 99), Shard(TWO, 100, 199))
    async with routed(topology) as (store, _, counts):
        outside = [key for key in KEYS if key_slot(value_name(key)) > 199]
        assert await store.get_many(outside) == [None] * len(outside)
        assert await store.claim_many(outside, 1) == [Claim(won=True)] * len(outside)
        store.release_many(outside)
        store.put_many(entries(outside))
        assert counts.errors == {Fault.UNROUTED: 3 * len(outside)}


async def test_an_unknown_topology_is_a_miss_until_it_is_known() -> None:
    topology = FakeTopology(Shard(ONE))
    topology.shards = None
    async with routed(topology) as (store, servers, counts):
        assert await store.get_many([b"a"]) == [None]
        assert counts.errors == {Fault.UNROUTED: 1}
        topology.shards = [Shard(ONE)]
        await until(lambda: ONE in servers.stores)
        store.put_many(entries([b"a"]))
        assert await store.get_many([b"a"]) == [b"value of a"]


async def test_a_doubt_leads_to_the_new_server_and_closes_the_old_one() -> None:
    topology = FakeTopology(*halves(ONE, TWO))
    async with routed(topology) as (store, servers, _):
        store.put_many(entries(KEYS))
        kept = dict(servers.stores[TWO].values)
        topology.shards = halves(THREE, TWO)
        servers.doubts[ONE]()
        await until(lambda: THREE in servers.stores)
        await until(lambda: servers.stores[ONE].closed)
        assert not servers.stores[TWO].closed
        found = await store.get_many(KEYS)
        assert {key for key, value in zip(KEYS, found, strict=True) if value} == set(kept)
    assert servers.stores[TWO].closed
    assert servers.stores[THREE].closed


async def test_many_doubts_are_few_looks() -> None:
    topology = FakeTopology(Shard(ONE))
    async with routed(topology) as (_, servers, _):
        looks = topology.looks
        for _ in range(1000):
            servers.doubts[ONE]()
        await until(lambda: topology.looks > looks)
        await asyncio.sleep(0.05)
        assert topology.looks - looks <= 2


def test_slots_that_no_cluster_has_are_passed_over() -> None:
    table = slot_table([Shard(ONE, -5, 3), Shard(TWO, SLOTS - 1, SLOTS + 9)])
    assert len(table) == SLOTS
    assert table[:5] == [ONE] * 4 + [None]
    assert table[-2:] == [None, TWO]


def test_the_server_of_one_name() -> None:
    slot = key_slot(b"name")
    assert find_endpoint([Shard(ONE, slot, slot)], b"name") == ONE
    assert find_endpoint([Shard(ONE, slot + 1, SLOTS)], b"name") is None


@given(st.binary(max_size=40))
def test_a_claim_is_in_the_slot_of_its_value(key: bytes) -> None:
    assert key_slot(claim_name(key)) == key_slot(value_name(key))
    assert claim_name(key) != value_name(key)
