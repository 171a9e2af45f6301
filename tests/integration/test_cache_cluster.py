"""The shared store in a real Redis Cluster of three nodes: one dies, slots move."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis
from redis.crc import key_slot

from tests.support.redis import RedisCluster, RedisServer, redis_cluster
from tests.support.redis_caches import HASTY, PATIENT, Gateway, gateway, hits_redis, until
from trireme_gateway.cache.events import Fault, Level
from trireme_gateway.cache.open_redis import KeyClient
from trireme_gateway.cache.redis_address import parse_redis_url
from trireme_gateway.cache.redis_client import RedisAccess
from trireme_gateway.cache.redis_store import value_name

KEYS = [b"%d" % number for number in range(300)]


@pytest.fixture(scope="module")
def whole_cluster() -> Iterator[RedisCluster]:
    with redis_cluster() as running:
        yield running


@pytest.fixture
def cluster(whole_cluster: RedisCluster) -> RedisCluster:
    """Without keys."""
    for node in whole_cluster.nodes:
        node.command("FLUSHALL")
    return whole_cluster


def node_of(cluster: RedisCluster, key: bytes) -> RedisServer:
    return cluster.node_of(key_slot(value_name(key)))


async def fill(one: Gateway) -> None:
    await until(lambda: hits_redis(one, b"first"))
    await one.ask(*KEYS)

    async def all_hit() -> bool:
        before = one.counts.hits[Level.REDIS]
        await one.ask(*KEYS)
        return one.counts.hits[Level.REDIS] - before == len(KEYS)

    await until(all_hit)


async def test_every_gateway_finds_every_key_at_its_node(cluster: RedisCluster) -> None:
    async with gateway(cluster.url, PATIENT) as one, gateway(cluster.url, PATIENT) as two:
        await fill(one)
        await until(lambda: hits_redis(two, KEYS[0]))
        await two.ask(*KEYS)
        assert two.counts.hits[Level.REDIS] >= len(KEYS)
        assert not any(two.computed[key] for key in KEYS[1:])
        assert not one.counts.errors[Fault.MOVED]
        sizes = [int(node.command("DBSIZE").strip(b":\r\n")) for node in cluster.nodes]
        assert sum(sizes) == len(KEYS) + 1
        assert min(sizes) > 50


async def test_a_dead_node_costs_its_own_keys_and_no_request() -> None:
    with redis_cluster() as cluster:
        await lose_a_node(cluster)


async def lose_a_node(cluster: RedisCluster) -> None:
    async with gateway(cluster.url, HASTY) as one:
        await fill(one)
        dead = cluster.nodes[1]
        theirs = [key for key in KEYS if node_of(cluster, key) is dead]
        others = [key for key in KEYS if node_of(cluster, key) is not dead]
        dead.kill()
        for _ in range(3):
            await asyncio.gather(*(one.ask(key) for key in KEYS))

        async def others_hit() -> bool:
            before = one.counts.hits[Level.REDIS]
            await one.ask(*others, *theirs)
            return one.counts.hits[Level.REDIS] - before == len(others)

        await until(others_hit)
        assert one.counts.errors[Fault.CONNECTION] + one.counts.errors[Fault.TIMEOUT] > 0
        assert one.counts.errors[Fault.BREAKER_OPEN] > 0


async def test_slots_that_move_are_followed(cluster: RedisCluster) -> None:
    async with gateway(cluster.url, PATIENT) as one:
        await fill(one)
        key = KEYS[0]
        slot, source = key_slot(value_name(key)), node_of(cluster, key)
        target = next(node for node in cluster.nodes if node is not source)
        await migrate(source, target, slot)
        assert await one.ask(key) in ("hit", "miss")
        await until(lambda: hits_redis(one, key))
        assert one.counts.errors[Fault.MOVED] > 0
        assert target.command("CLUSTER", "COUNTKEYSINSLOT", str(slot)) != b":0\r\n"


async def migrate(source: RedisServer, target: RedisServer, slot: int) -> None:
    """Moves a slot and its keys, with a question in between that meets an ASK."""
    names = {}
    for node in (source, target):
        names[node] = node.command("CLUSTER", "MYID").split()[1].decode()
    target.command("CLUSTER", "SETSLOT", str(slot), "IMPORTING", names[source])
    source.command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", names[target])
    async with Redis(port=source.port) as client:
        for name in await client.execute_command("CLUSTER GETKEYSINSLOT", slot, 100):
            await client.execute_command("MIGRATE", "127.0.0.1", target.port, name, 0, 5000)
    for node in (target, source):
        assert node.command("CLUSTER", "SETSLOT", str(slot), "NODE", names[target]) == b"+OK\r\n"


async def test_a_slot_on_its_way_costs_no_request(cluster: RedisCluster) -> None:
    async with gateway(cluster.url, PATIENT) as one:
        await fill(one)
        key = KEYS[7]
        slot, source = key_slot(value_name(key)), node_of(cluster, key)
        target = next(node for node in cluster.nodes if node is not source)
        name = target.command("CLUSTER", "MYID").split()[1].decode()
        source.command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", name)
        async with Redis(port=source.port) as client:
            await client.delete(value_name(key))
        for _ in range(3):  # every answer is checked
            await one.ask(key)
        assert one.counts.errors[Fault.MOVED] > 0
        source.command("CLUSTER", "SETSLOT", str(slot), "STABLE")
        await until(lambda: hits_redis(one, key))


async def test_seldom_reads_and_writes_find_their_node_too(cluster: RedisCluster) -> None:
    client = KeyClient(RedisAccess(parse_redis_url(cluster.url)))
    for number in range(9):
        await client.set(b"trireme:1:x%d" % number, b"value")
        assert await client.get(b"trireme:1:x%d" % number) == b"value"
