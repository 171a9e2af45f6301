from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from tests.support.catalogs import state, version
from tests.support.hops import ask
from tests.support.stages import METHOD, EchoHandler, RunningStage, StateBoard, stage_server, until
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import State
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import NoObserver
from trireme_gateway.hop.stage_client import StageClient, UpstreamPolicy
from trireme_gateway.hop.stream import by_stream

KEY = ("echo", "1")


@asynccontextmanager
async def client_of(
    addresses: Sequence[str], *, resolve_seconds: float = 60, silence_seconds: float = 0.3
) -> AsyncIterator[StageClient]:
    client = StageClient(
        "inference",
        by_stream("inference", METHOD, lambda: Pending(max_in_flight=2, max_items=8), NoObserver()),
        addresses,
        on_change=lambda: None,
        policy=UpstreamPolicy(
            resolve_seconds=resolve_seconds, outlier=OutlierPolicy(silence_seconds=silence_seconds)
        ),
    )
    client.start()
    try:
        yield client
    finally:
        await client.close()


def soon(seconds: float = 20) -> float:
    return time.monotonic() + seconds


async def test_calls_go_to_the_endpoint_with_the_least_work() -> None:
    busy, idle = EchoHandler(), EchoHandler()
    busy.gate.clear()
    async with (
        stage_server(busy) as first,
        stage_server(idle) as second,
        client_of([first.address, second.address], silence_seconds=60) as client,
    ):
        await until(lambda: len(client.states()) == 2)
        assert client.endpoints == 2
        calls = [asyncio.create_task(ask(client, KEY, [b"%d" % n], soon())) for n in range(2)]
        await until(lambda: len(busy.payloads) == 1 and len(idle.payloads) == 1)
        for number in range(10):
            assert (await ask(client, KEY, [b"n%d" % number], soon())).outcomes == [b"n%d" % number]
        assert len(busy.payloads) == 1
        busy.gate.set()
        await asyncio.gather(*calls)


async def test_only_endpoints_that_have_the_version_are_asked() -> None:
    old, new = EchoHandler(), EchoHandler()
    async with (
        stage_server(old, StateBoard(state(version("echo", "1")))) as first,
        stage_server(new, StateBoard(state(version("echo", "1"), version("echo", "2")))) as second,
        client_of([first.address, second.address]) as client,
    ):
        await until(lambda: len(client.states()) == 2)
        await asyncio.gather(*(ask(client, ("echo", "2"), [b"x"], soon()) for _ in range(8)))
        assert len(new.payloads) == 8
        assert not old.payloads


async def test_no_endpoint_for_the_version_is_an_answer_at_once() -> None:
    board = StateBoard(state(version("echo", found=State.UNAVAILABLE, reason="bad")))
    async with stage_server(EchoHandler(), board) as stage, client_of([stage.address]) as client:
        await until(lambda: len(client.states()) == 1)
        with pytest.raises(TriremeError) as refused:
            await ask(client, KEY, [b"x"], soon())
        assert refused.value.code is Code.BACKEND_UNAVAILABLE


async def test_an_item_says_its_priority() -> None:
    echo = EchoHandler()
    async with stage_server(echo) as stage, client_of([stage.address]) as client:
        await until(lambda: len(client.states()) == 1)
        await ask(client, KEY, [b"a"], soon(), priority=2)
        await ask(client, KEY, [b"b"], soon())
    assert [item.priority for message in echo.messages for item in message] == [2, 0]


async def test_fail_over_to_the_second_endpoint_loses_nothing() -> None:
    doomed, healthy = EchoHandler(), EchoHandler()
    doomed.gate.clear()
    victim = RunningStage(doomed, StateBoard())
    await victim.start()
    async with stage_server(healthy) as other, client_of([victim.address, other.address]) as client:
        await until(lambda: len(client.states()) == 2)
        calls = [
            asyncio.create_task(ask(client, KEY, [b"%d-%d" % (n, i) for i in range(3)], soon()))
            for n in range(20)
        ]
        await until(lambda: bool(doomed.payloads))
        await victim.kill()
        found = await asyncio.gather(*calls)
        assert [answer.outcomes for answer in found] == [
            [b"%d-%d" % (n, i) for i in range(3)] for n in range(20)
        ]
        # Nothing was asked twice of the endpoint that lived.
        assert set(Counter(healthy.payloads).values()) == {1}


async def test_a_call_fails_when_both_endpoints_break() -> None:
    stages = [RunningStage(EchoHandler(), StateBoard()) for _ in range(2)]
    for stage in stages:
        await stage.start()
        stage.handler.gate.clear()  # type: ignore[attr-defined]
    async with client_of([stage.address for stage in stages]) as client:
        await until(lambda: len(client.states()) == 2)
        call = asyncio.create_task(ask(client, KEY, [b"x"], soon()))
        await until(lambda: any(stage.handler.payloads for stage in stages))  # type: ignore[attr-defined]
        await asyncio.gather(*(stage.kill() for stage in stages))
        with pytest.raises(TriremeError) as broken:
            await call
        assert broken.value.code is Code.BACKEND_UNAVAILABLE


async def test_a_draining_endpoint_gets_no_new_calls() -> None:
    leaving, staying = EchoHandler(), EchoHandler()
    board = StateBoard()
    async with (
        stage_server(leaving, board) as first,
        stage_server(staying) as second,
        client_of([first.address, second.address]) as client,
    ):
        await until(lambda: len(client.states()) == 2)
        board.publish(state("echo", draining=True))
        await until(lambda: len(client.states()) == 1)
        await asyncio.gather(*(ask(client, KEY, [b"x"], soon()) for _ in range(6)))
        assert len(staying.payloads) == 6
        assert not leaving.payloads


async def test_a_silent_endpoint_is_not_waited_for_past_the_deadline() -> None:
    handler = EchoHandler()
    handler.gate.clear()
    async with stage_server(handler) as stage, client_of([stage.address]) as client:
        await until(lambda: len(client.states()) == 1)
        with pytest.raises(TriremeError) as late:
            await ask(client, KEY, [b"x"], soon(0.1))
        assert late.value.code is Code.DEADLINE_EXCEEDED
        await until(lambda: handler.messages[0][0].cancelled)


async def test_a_name_that_cannot_be_resolved_costs_only_its_own_endpoints() -> None:
    async with stage_server(EchoHandler()) as stage:
        addresses = [f"{'a' * 70}.invalid:1", "no-such-host.invalid:1", stage.address]
        async with client_of(addresses, resolve_seconds=0.02) as client:
            await until(lambda: len(client.states()) == 1)
            for _ in range(10):
                assert (await ask(client, KEY, [b"x"], soon())).outcomes == [b"x"]
                await asyncio.sleep(0.005)
            assert client.endpoints == 1


async def test_names_are_asked_sooner_while_somebody_waits() -> None:
    async with stage_server(EchoHandler()) as stage:
        asked = 0

        async def resolve(host: str, port: int) -> list[str]:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise OSError("no such name yet")
            return [stage.address]

        client = StageClient(
            "inference",
            by_stream("inference", METHOD, lambda: Pending(max_in_flight=2, max_items=8), NoObserver()),
            ["inference:1"],
            on_change=lambda: None,
            policy=UpstreamPolicy(resolve_seconds=3600),
            resolve=resolve,
            urgent=lambda: True,
        )
        client.start()
        try:
            await until(lambda: len(client.states()) == 1)
            assert [endpoint.name for endpoint in client.known()] == ["inference:1"]
        finally:
            await client.close()


async def test_close_fails_calls_under_way() -> None:
    handler = EchoHandler()
    handler.gate.clear()
    async with stage_server(handler) as stage:
        async with client_of([stage.address]) as client:
            await until(lambda: len(client.states()) == 1)
            call = asyncio.create_task(ask(client, KEY, [b"x"], soon()))
            await until(lambda: bool(handler.payloads))
        with pytest.raises(TriremeError) as closed:
            await call
        assert closed.value.code is Code.BACKEND_UNAVAILABLE
        assert client.endpoints == 0
