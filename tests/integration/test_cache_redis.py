"""The shared store against a real redis-server: killed, frozen, paused, flushed, filled, poisoned."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import cast

import pytest
from redis.asyncio import Redis

from tests.support.redis import RedisServer, redis_server
from tests.support.redis_caches import PATIENT, Gateway, gateway, hits_redis, until
from trireme_gateway.cache.breaker import Breaker
from trireme_gateway.cache.events import CacheCounts, Fault, Level, Rejection
from trireme_gateway.cache.ports import StoreEntry
from trireme_gateway.cache.redis_address import Endpoint, parse_redis_url
from trireme_gateway.cache.redis_client import RedisAccess, RedisLimits
from trireme_gateway.cache.redis_store import RedisStore


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.mark.parametrize("transport", ["url", "unix_url"])
async def test_an_answer_of_one_gateway_is_a_hit_at_another(server: RedisServer, transport: str) -> None:
    url: str = getattr(server, transport)
    async with gateway(url, PATIENT) as one, gateway(url, PATIENT) as two:
        assert await one.ask(b"a", b"b") == "miss"
        await until(lambda: hits_redis(two, b"a"))
        assert two.computed[b"b"] == 0
        async with Redis.from_url(url) as client:
            keys = await client.keys("*")
            assert len(keys) == 2
            for key in keys:
                assert 30_000 < await client.pttl(key) <= 66_000


async def test_questions_of_the_same_moment_share_a_round_trip(server: RedisServer) -> None:
    async with gateway(server.url, PATIENT) as one:
        await asyncio.gather(*(one.ask(b"%d" % number) for number in range(200)))
        await asyncio.gather(*(one.ask(b"%d" % number) for number in range(200)))
        async with Redis.from_url(server.url) as client:
            stats = await client.info("commandstats")
        assert stats["cmdstat_mget"]["calls"] <= 4
        assert one.counts.hits[Level.REDIS] == 200


async def test_where_commands_take_one_slot_the_questions_of_a_moment_still_share_a_round_trip(
    server: RedisServer,
) -> None:
    counts = CacheCounts()
    store = RedisStore(*server_at(server.url), counts, limits=PATIENT, clustered=True)
    keys = [b"%d" % number for number in range(200)]
    store.put_many([StoreEntry(key, b"value of " + key, 60) for key in keys])
    async with Redis.from_url(server.url) as client:
        await until(lambda: has_size(client, len(keys)))
        before = (await client.info("stats"))["total_reads_processed"]
        values = await asyncio.gather(*(store.get_many([key]) for key in keys))
        after = (await client.info("stats"))["total_reads_processed"]
    assert values == [[b"value of " + key] for key in keys]
    # Of 16 KiB each, and one of them is the question for the count.
    assert after - before <= 4
    assert not counts.errors
    await store.close()


def server_at(url: str) -> tuple[RedisAccess, Endpoint]:
    access = RedisAccess(parse_redis_url(url))
    return access, access.address.endpoints[0]


async def has_size(client: Redis, size: int) -> bool:
    return int(await client.dbsize()) == size


async def test_more_keys_than_one_command_takes_are_split(server: RedisServer) -> None:
    limits = RedisLimits(timeout_seconds=5.0, max_keys=10)
    async with gateway(server.url, limits) as one:
        keys = [b"%d" % number for number in range(95)]
        await one.ask(*keys)
        assert await one.ask(*keys, b"new") == "miss"
        assert one.counts.hits[Level.REDIS] == 95
        assert one.computed[b"new"] == 1


async def test_a_killed_redis_fails_open_and_hits_come_back(server: RedisServer) -> None:
    async with gateway(server.url) as one:
        await until(lambda: hits_redis(one, b"a"))
        server.kill()
        for _ in range(100):
            await one.ask(b"a", b"%d" % random.getrandbits(32))
        assert one.counts.errors[Fault.CONNECTION] > 0
        assert one.counts.errors[Fault.BREAKER_OPEN] > 0
        server.start()
        await until(lambda: hits_redis(one, b"a"), seconds=5)


async def slowed_requests(one: Gateway, seconds: float) -> list[float]:
    """Asks every 5 ms whatever became of the earlier ones; how long each took that took 30 ms or more."""

    async def timed(key: bytes) -> float:
        start = time.monotonic()
        await one.ask(key)
        return time.monotonic() - start

    tasks: list[asyncio.Task[float]] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        tasks.append(asyncio.create_task(timed(b"%d" % len(tasks))))
        await asyncio.sleep(0.005)
    return [taken for taken in await asyncio.gather(*tasks) if taken >= 0.03]


@pytest.mark.parametrize("fault", ["frozen", "paused"])
async def test_a_redis_that_does_not_answer_slows_few_requests(server: RedisServer, fault: str) -> None:
    async with gateway(server.url) as one:
        await until(lambda: hits_redis(one, b"a"))
        if fault == "frozen":
            server.freeze()
        else:
            server.command("CLIENT", "PAUSE", "1200")
        slowed = await slowed_requests(one, 1.0)
        assert len(slowed) <= 5, slowed
        assert one.counts.errors[Fault.TIMEOUT] > 0
        assert one.counts.errors[Fault.BREAKER_OPEN] > 50
        if fault == "frozen":
            server.thaw()
        await until(lambda: hits_redis(one, b"a"), seconds=5)
        async with Redis.from_url(server.url) as client:
            assert len(await client.client_list()) <= 4


async def test_a_flushed_redis_causes_one_computation_a_key(server: RedisServer) -> None:
    async with gateway(server.url, PATIENT) as one:
        keys = [b"%d" % number for number in range(30)]

        async def client(seed: int) -> None:
            chooser = random.Random(seed)
            for _ in range(60):
                await one.ask(*chooser.sample(keys, 5))

        await one.ask(*keys)
        load = [asyncio.create_task(client(seed)) for seed in range(20)]
        await asyncio.sleep(0.02)
        server.command("FLUSHALL")
        await asyncio.gather(*load)
        assert not one.counts.errors
        assert max(one.computed.values()) <= 2, "once before the flush, once after it"


async def test_a_full_redis_refuses_writes_and_nobody_notices() -> None:
    with redis_server("--maxmemory", "2mb", "--maxmemory-policy", "noeviction") as server:
        async with gateway(server.url, PATIENT) as one:
            big = [b"%d" % number * 3000 for number in range(300)]
            for start in range(0, len(big), 10):
                await one.ask(*big[start : start + 10])

            async def refused() -> bool:
                return one.counts.errors[Fault.WRITE_REFUSED] > 0

            await until(refused)
            assert await one.ask(big[0]) == "hit"
            assert not one.counts.errors[Fault.TIMEOUT]


class Canary:
    """Fails the test when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return pytest.fail, ("a stored value was unpickled",)


async def test_poisoned_values_are_counted_misses(server: RedisServer) -> None:
    async with gateway(server.url, PATIENT) as one:
        keys = [b"flipped", b"pickled", b"copied", b"old", b"cut", b"list"]
        await one.ask(*keys)
        async with Redis.from_url(server.url) as client:

            async def written() -> bool:
                return int(await client.dbsize()) == len(keys)

            await until(written)
            await poison(client)
        assert await one.ask(*keys) == "miss"
        assert one.computed == dict.fromkeys(keys, 2)
        assert one.counts.rejected == {
            Rejection.MAC: 2, Rejection.MAGIC: 1, Rejection.SCHEMA: 1, Rejection.TRUNCATED: 1
        }  # fmt: skip


async def poison(client: Redis) -> None:
    names: dict[bytes, bytes] = {}
    values: dict[bytes, bytes] = {}
    for name in await client.keys("*"):
        value = await client.get(name)
        assert isinstance(name, bytes)
        assert isinstance(value, bytes)
        key = name.rpartition(b":")[2]
        names[key], values[key] = name, value
    await client.set(names[b"flipped"], values[b"flipped"][:-1] + b"\x00")
    await client.set(names[b"pickled"], pickle.dumps(Canary()))
    await client.set(names[b"copied"], values[b"flipped"])
    await client.set(names[b"old"], values[b"old"][:4] + b"\x00" + values[b"old"][5:])
    await client.set(names[b"cut"], values[b"cut"][:-1])
    await client.delete(names[b"list"])
    await client.rpush(names[b"list"], b"not a string")


async def test_a_redis_that_refuses_us_is_a_miss() -> None:
    with redis_server() as server:
        server.command("CONFIG", "SET", "requirepass", "hidden")
        async with gateway(server.url) as one:
            for number in range(5):
                await one.ask(b"%d" % number)
            assert one.counts.errors[Fault.DENIED] > 0


async def test_closing_writes_what_was_put(server: RedisServer) -> None:
    async with gateway(server.url, PATIENT) as one:
        await one.ask(b"a")
    async with gateway(server.url, PATIENT) as two:
        assert await two.ask(b"a") == "hit"
        await two.cache.close()
        assert await two.store.get_many([b"a"]) == [None]


@contextlib.asynccontextmanager
async def delay_proxy(port: int) -> AsyncIterator[str]:
    """A TCP proxy to `port` that holds answers back: most up to 4 ms, one of 40 for 250 ms; its URL."""
    chooser = random.Random(27)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, delay: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if delay:
                    await asyncio.sleep(0.25 if chooser.random() < 1 / 40 else chooser.uniform(0, 0.004))
                writer.write(data)
                await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(cast("asyncio.Task[None]", asyncio.current_task()))
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, up_writer, delay=False), pump(up_reader, writer, delay=True))

    connections: list[asyncio.Task[None]] = []
    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/0"
    finally:
        proxy.close()
        # Both ends hang up before this block is left; an answer that is still held back is let out first.
        await asyncio.gather(*connections)


class NaiveStore:
    """What not to do: the caller reads from the connection and, leaving, leaves an answer behind."""

    def __init__(self, client: Redis) -> None:
        self._connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        self._lock = asyncio.Lock()

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        async with self._lock:
            await self._connection.send_command("MGET", *(b"trireme:1:" + key for key in keys))
            values: list[bytes | None] = await self._connection.read_response(disconnect_on_error=False)
            return values

    async def close(self) -> None:
        await self._connection.disconnect()


class Leavers:
    """Callers, half of whom give up at random; the oracle is the key within the value."""

    def __init__(self, store: RedisStore | NaiveStore) -> None:
        self.store = store
        self.right = self.wrong = self.left = 0
        self._keys = [b"%d" % number for number in range(500)]
        self._chooser = random.Random(26)

    async def fill(self, server: RedisServer) -> None:
        async with gateway(server.url, PATIENT) as filler:
            filler.store.put_many([StoreEntry(key, b"value of " + key, 600) for key in self._keys])

    async def call(self, times: int) -> None:
        for _ in range(times):
            asked = self._chooser.sample(self._keys, 3)
            try:
                async with asyncio.timeout(self._chooser.choice([self._chooser.uniform(0, 0.015), None])):
                    values = await self.store.get_many(asked)
            except TimeoutError:
                self.left += 1
                continue
            self.right += values == [b"value of " + key for key in asked]
            pairs = zip(values, asked, strict=True)
            self.wrong += any(value not in (None, b"value of " + key) for value, key in pairs)
            await asyncio.sleep(0.03 if None in values else self._chooser.uniform(0, 0.005))


async def test_callers_that_leave_never_shift_the_answers_of_others(server: RedisServer) -> None:
    counts = CacheCounts()
    async with delay_proxy(server.port) as url:
        limits = RedisLimits(timeout_seconds=0.2)
        store = RedisStore(*server_at(url), counts, limits=limits, breaker=Breaker(failures=1_000_000))
        leavers = Leavers(store)
        await leavers.fill(server)
        await asyncio.gather(*(leavers.call(100) for _ in range(100)))
        await store.close()
    assert leavers.wrong == 0
    assert leavers.right > 100
    assert leavers.left > 100
    assert counts.errors[Fault.TIMEOUT] > 0, "the store's own commands were to be cut off as well"


async def test_the_oracle_of_the_leavers_sees_shifted_answers(server: RedisServer) -> None:
    async with delay_proxy(server.port) as url, Redis.from_url(url) as client:
        naive = NaiveStore(client)
        leavers = Leavers(naive)
        await leavers.fill(server)
        await asyncio.gather(*(leavers.call(20) for _ in range(4)))
        await naive.close()
    assert leavers.wrong > 0
