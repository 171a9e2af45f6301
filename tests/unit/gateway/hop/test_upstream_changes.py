"""A stage's client and endpoints that are come, go and drain."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.catalogs import state
from tests.support.hops import HopAnswer
from tests.support.stages import EchoHandler, RunningStage, stage_server, until
from tests.unit.gateway.hop.upstreams import Upstream, handler, two, upstream
from trireme_common.errors import Code, TriremeError


async def fill(up: Upstream, stage: RunningStage) -> list[asyncio.Task[HopAnswer]]:
    """Calls at the only endpoint there is: one message under way, the others wait."""
    handler(stage).gate.clear()
    calls = [up.begin(b"0")]
    await until(lambda: bool(handler(stage).payloads))
    calls += [up.begin(b"%d" % number) for number in range(1, 6)]
    await asyncio.sleep(0)
    return calls


async def test_what_waits_at_a_draining_endpoint_moves_for_nothing() -> None:
    async with two() as (leaving, other), upstream(leaving, retry_fraction=0, max_in_flight=1) as up:
        calls = await fill(up, leaving)
        up.names.stages.append(other)
        await until(lambda: len(up.client.states()) == 2)
        leaving.board.publish(state("echo", draining=True))
        assert [answer.outcomes for answer in await asyncio.gather(*calls[1:])] == [
            [b"%d" % number] for number in range(1, 6)
        ]
        assert handler(leaving).payloads == [b"0"]
        handler(leaving).gate.set()
        assert (await calls[0]).outcomes == [b"0"]  # what was sent is answered where it is
        assert up.notes.retries == 0


async def test_what_waits_at_the_only_endpoint_stays_when_it_drains() -> None:
    async with stage_server(EchoHandler()) as leaving, upstream(leaving, max_in_flight=1) as up:
        calls = await fill(up, leaving)
        leaving.board.publish(state("echo", draining=True))
        await until(lambda: not up.client.states())
        with pytest.raises(TriremeError) as refused:
            await up.ask(b"new")
        assert refused.value.code is Code.BACKEND_UNAVAILABLE
        handler(leaving).gate.set()
        assert [answer.outcomes for answer in await asyncio.gather(*calls)] == [
            [b"%d" % number] for number in range(6)
        ]


async def test_new_addresses_get_calls_at_once_and_old_ones_none() -> None:
    async with two() as (old, new), upstream(old) as up:
        await up.ask(b"x")
        up.names.stages = [new]
        while not handler(new).payloads:  # none fails, although for a moment neither is quite there
            await up.ask(b"y")
        await until(lambda: up.client.endpoints == 1)
        asked = len(handler(old).payloads)
        await up.ask(b"z")
        assert len(handler(old).payloads) == asked


async def test_an_address_that_left_answers_what_it_has() -> None:
    async with two() as (old, new), upstream(old) as up:
        handler(old).gate.clear()
        call = up.begin(b"x")
        await until(lambda: bool(handler(old).payloads))
        up.names.stages = [new]
        await until(lambda: up.client.endpoints == 2)
        await until(lambda: bool(up.client.states()))
        handler(old).gate.set()
        assert (await call).outcomes == [b"x"]
        await until(lambda: up.client.endpoints == 1)
