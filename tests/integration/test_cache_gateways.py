"""Several gateways over one real Redis that compute each answer once between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from tests.support.redis import redis_cluster, redis_server
from tests.support.redis_caches import PATIENT, gateway, hits_redis, until
from trireme_gateway.cache.events import Flight
from trireme_gateway.cache.redis_store import claim_name


@pytest.fixture(params=["server", "cluster"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        if request.param == "server":
            yield stack.enter_context(redis_server()).url
        else:
            yield stack.enter_context(redis_cluster()).url


async def test_simultaneous_askers_of_two_gateways_cause_one_model_call_a_key(url: str) -> None:
    keys = [b"%d" % number for number in range(20)]
    slow = {"flight_seconds": 20.0, "model_seconds": 0.1}
    async with gateway(url, PATIENT, **slow) as one, gateway(url, PATIENT, **slow) as two:
        for running in (one, two):
            await until(lambda running=running: hits_redis(running, b"warm"))  # type: ignore[misc]
        statuses = await asyncio.gather(
            *(running.ask(key) for key in keys for running in (one, two) for _ in range(10))
        )
        assert one.computed + two.computed == dict.fromkeys(keys, 1) | {b"warm": 1}
        assert (statuses.count("miss"), statuses.count("coalesced")) == (20, 380)
        flights = one.counts.flights + two.counts.flights
        assert flights == {Flight.LED: 21, Flight.ANSWERED: 20}


async def test_a_dead_holders_claim_ends_and_one_of_those_who_wait_goes_on() -> None:
    with redis_server() as server:
        patient = {"flight_seconds": 20.0}
        async with (
            gateway(server.url, PATIENT, **patient) as one,
            gateway(server.url, PATIENT, **patient) as two,
        ):
            async with Redis(port=server.port) as client:
                await client.set(claim_name(b"a"), b"+", px=300)
            started = asyncio.get_running_loop().time()
            statuses = await asyncio.gather(one.ask(b"a"), two.ask(b"a"))
            assert asyncio.get_running_loop().time() - started >= 0.29
            assert sorted(statuses) == ["coalesced", "miss"]
            assert one.computed + two.computed == {b"a": 1}


async def test_a_holder_that_takes_too_long_is_not_waited_for() -> None:
    with redis_server() as server:
        async with gateway(server.url, PATIENT, flight_seconds=0.3) as one:
            async with Redis(port=server.port) as client:
                await client.set(claim_name(b"a"), b"+", px=60_000)
            assert await one.ask(b"a") == "miss"
            assert one.counts.flights == {Flight.GIVEN_UP: 1}


async def test_a_redis_that_dies_meanwhile_lets_everybody_compute() -> None:
    with redis_server() as server:
        slow = {"flight_seconds": 20.0, "model_seconds": 0.2}
        async with gateway(server.url, **slow) as one, gateway(server.url, **slow) as two:
            for running in (one, two):
                await until(lambda running=running: hits_redis(running, b"warm"))  # type: ignore[misc]
            asked = [asyncio.create_task(running.ask(b"a")) for running in (one, two)]
            await asyncio.sleep(0.05)
            server.kill()
            async with asyncio.timeout(5):
                await asyncio.gather(*asked)
            assert one.computed[b"a"] + two.computed[b"a"] == 2
