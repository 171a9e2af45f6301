"""The shared store behind real Sentinels: the master dies, another takes over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from tests.support.redis import RedisServer, SentinelGroup, sentinel_group
from tests.support.redis_caches import HASTY, PATIENT, Gateway, gateway, hits_redis, until
from trireme_gateway.cache.events import Fault, Level
from trireme_gateway.cache.open_redis import KeyClient
from trireme_gateway.cache.redis_address import parse_redis_url
from trireme_gateway.cache.redis_client import RedisAccess


@pytest.fixture(scope="module")
def group() -> Iterator[SentinelGroup]:
    with sentinel_group() as running:
        yield running


async def ask_on(one: Gateway, stop: asyncio.Event) -> int:
    """Asks for the same keys until told to stop; how often. Every answer is checked."""
    asked = 0
    while not stop.is_set():
        await one.ask(b"%d" % (asked % 50), b"%d" % (asked % 7))
        asked += 1
        await asyncio.sleep(0.001)
    return asked


async def test_a_dead_master_costs_no_request_and_hits_come_back_from_the_next() -> None:
    with sentinel_group() as group:
        await lose_the_master(group)


async def lose_the_master(group: SentinelGroup) -> None:
    async with gateway(group.url, HASTY) as one:
        await until(lambda: hits_redis(one, b"a"))
        stop = asyncio.Event()
        load = asyncio.create_task(ask_on(one, stop))
        await asyncio.sleep(0.1)
        group.master.kill()
        await until(lambda: knows(group.replica, b"role:master"), seconds=20)
        await until(lambda: hits_redis(one, b"b"), seconds=10)
        stop.set()
        assert await load > 100
        assert one.counts.errors[Fault.CONNECTION] + one.counts.errors[Fault.TIMEOUT] > 0


async def knows(server: RedisServer, line: bytes) -> bool:
    return line in await asyncio.to_thread(server.command, "INFO", "replication")


async def test_one_sentinel_of_three_is_enough_to_find_the_master(group: SentinelGroup) -> None:
    with frozen(*group.sentinels[:2]):
        async with gateway(group.url, PATIENT) as one:
            await until(lambda: hits_redis(one, b"a"))
            assert one.counts.hits[Level.REDIS] > 0


async def test_without_any_sentinel_everything_is_computed(group: SentinelGroup) -> None:
    with frozen(*group.sentinels):
        async with gateway(group.url, HASTY) as one:
            for number in range(20):
                assert await one.ask(b"%d" % number) == "miss"
            assert one.counts.errors == {Fault.UNROUTED: 40}, "a read and a write each"


@contextlib.contextmanager
def frozen(*servers: RedisServer) -> Iterator[None]:
    for server in servers:
        server.freeze()
    try:
        yield
    finally:
        for server in servers:
            server.thaw()


async def test_seldom_reads_and_writes_find_the_master_too(group: SentinelGroup) -> None:
    client = KeyClient(RedisAccess(parse_redis_url(group.url)))
    await client.set(b"trireme:1:x", b"value")
    assert await client.get(b"trireme:1:x") == b"value"
