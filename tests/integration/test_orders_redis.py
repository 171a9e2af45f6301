"""Orders in a real Redis: kept, shared, sealed, and never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fleets import Fleet
from tests.support.platform import platform
from tests.support.redis import RedisServer, redis_server
from tests.support.times_models import write_times
from trireme_common.orders import Order
from trireme_common.stage_stream import cancel_and_wait
from trireme_gateway.cache.open_redis import KeyClient
from trireme_gateway.cache.redis_address import parse_redis_url
from trireme_gateway.cache.redis_client import RedisAccess
from trireme_gateway.orders_redis import OrderKeeper, RedisOrders

SECRET = b"a secret of some length"
BACK, OFF = Order(10, "m", version="1"), Order(20, "n", unloaded=True)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as found:
        yield found


def orders_in(server: RedisServer, secret: bytes = SECRET) -> RedisOrders:
    return RedisOrders(KeyClient(RedisAccess(parse_redis_url(server.url))), secret)


async def exchange(server: RedisServer, *orders: Order, secret: bytes = SECRET) -> list[Order]:
    return await orders_in(server, secret).exchange(orders)


async def test_gateways_that_share_a_secret_share_orders(server: RedisServer) -> None:
    server.command("FLUSHALL")
    assert await exchange(server, BACK) == []
    assert await exchange(server, OFF) == [BACK]
    assert await exchange(server, Order(9, "m")) == [BACK, OFF]
    assert await exchange(server, secret=b"another secret of length") == []


async def test_what_somebody_else_wrote_there_is_no_order(server: RedisServer) -> None:
    server.command("FLUSHALL")
    await exchange(server, BACK)
    key = server.command("KEYS", "*").split(b"\r\n")[2].decode()
    server.command("SET", key, "forged")
    assert await exchange(server, OFF) == []
    assert await exchange(server) == [OFF]


async def test_a_desk_learns_from_redis_and_outlives_its_absence() -> None:
    with redis_server() as server:
        fleet = Fleet()
        kept = orders_in(server)
        keeper = OrderKeeper(kept, fleet.desk, fleet.refresh)
        await exchange(server, BACK)
        await keeper.exchange()
        assert fleet.default() == "1"
        server.kill()
        await keeper.exchange()
        assert fleet.default() == "1"
        with pytest.raises(ConnectionError):
            await kept.exchange([])
        server.start()  # empty
        await keeper.exchange()
        assert await exchange(server) == [BACK]
        running = asyncio.create_task(keeper.run())
        await asyncio.sleep(0)
        await cancel_and_wait(running)


def test_a_platform_that_starts_afresh_on_nothing_but_redis_remembers(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_times(models, 1)
    write_times(models, 2)
    environment = {
        "TRIREME_STATE_DIR": str(tmp_path / "not-there"),
        "TRIREME_GATEWAY_CACHE_SECRET": SECRET.decode(),
    }
    with redis_server() as server:
        with platform(models, tmp_path, "--redis", server.url, **environment) as running:
            rolled = running.post("/v2/repository/models/times/rollback")
            assert rolled.json() == {"name": "times", "version": "1"}
            wait_for_key(server)
        with platform(models, tmp_path, "--redis", server.url, **environment) as running:
            answer = running.post("/v1/models/times/predict", json=[3, 0, 0, 0])
            assert (answer.json()["version"], answer.json()["values"][0]) == ("1", 3.0)


def wait_for_key(server: RedisServer) -> None:
    for _ in range(600):
        if b"trireme:1:orders" in server.command("KEYS", "*"):
            return
        asyncio.run(asyncio.sleep(0.05))
    raise AssertionError("no orders came to Redis")
