"""Requests that reach a stage's client together: how they are spread, and that they do not share a fate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from tests.support.stages import EchoHandler, RunningStage, StateBoard, stage_server, until
from tests.unit.gateway.hop.upstreams import NEVER, handler, two, upstream
from trireme_common.errors import TriremeError
from trireme_common.stage_stream import Emit, Item
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.ports import HopItem, HopRequest, by_request

KEY = ("echo", "1")


def requests(count: int, items: int = 1, seconds: float = 30) -> list[HopItem]:
    """Items of so many requests, each payload saying whose it is."""
    made = [HopRequest(f"r{number}", time.monotonic() + seconds) for number in range(count)]
    return [
        HopItem(request, b"%s-%d" % (request.request_id.encode(), at))
        for request in made
        for at in range(items)
    ]


class Gatherer:
    """Taker that waits for some items."""

    def __init__(self, items: Sequence[HopItem]) -> None:
        self._missing = {id(item) for item in items}
        self.done = asyncio.Event()

    def took(self, items: Sequence[HopItem], now: float) -> None:
        for item in items:
            self._missing.remove(id(item))
        if not self._missing:
            self.done.set()


def _request_ids(stage: RunningStage) -> set[str]:
    return {item.request_id for message in handler(stage).messages for item in message}


async def test_a_group_is_spread_over_the_endpoints_request_by_request() -> None:
    async with two() as (first, second), upstream(first, second) as up:
        for stage in (first, second):
            handler(stage).gate.clear()
        items = requests(8, items=2)
        taker = Gatherer(items)
        up.client.send(KEY, items, taker)
        await until(lambda: len(handler(first).payloads) == len(handler(second).payloads) == 8)
        assert not _request_ids(first) & _request_ids(second)
        for stage in (first, second):
            handler(stage).gate.set()
        await taker.done.wait()
        assert [item.outcome for item in items] == [item.payload for item in items]
        assert up.client.idle


async def test_a_group_of_little_work_is_not_divided() -> None:
    async with two() as (first, second), upstream(first, second) as up:
        for _ in range(3):  # an item takes a few microseconds, and the client learns it
            await up.ask(b"x")
        before = len(handler(first).messages), len(handler(second).messages)
        items = requests(8)
        taker = Gatherer(items)
        up.client.send(KEY, items, taker)
        await taker.done.wait()
        after = len(handler(first).messages), len(handler(second).messages)
        assert sorted(new - old for new, old in zip(after, before, strict=True)) == [0, 1]


async def test_of_a_group_no_more_than_one_request_is_risked_on_an_ejected_endpoint() -> None:
    quick = OutlierPolicy(silence_seconds=0.2, unlearned_seconds=0.2, ejection_seconds=0.2)
    async with two() as (silent, other), upstream(silent, other, outlier=quick) as up:
        handler(silent).gate.clear()
        while not up.notes.ejections["silence"]:
            await up.ask(b"x")
        await asyncio.sleep(0.25)
        before = len(handler(silent).payloads)
        items = requests(6)
        taker = Gatherer(items)
        up.client.send(KEY, items, taker)
        await taker.done.wait()
        assert len(handler(silent).payloads) - before <= 1


class Crasher(EchoHandler):
    """Kills its stage when it is sent poison."""

    def __init__(self) -> None:
        super().__init__()
        self.stage: RunningStage | None = None
        self.killing: list[asyncio.Task[None]] = []

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        if any(item.request_id == "r0" for item in items):
            self.messages.append(list(items))
            assert self.stage is not None
            self.killing.append(asyncio.create_task(self.stage.kill()))
            await asyncio.Event().wait()
        await super().handle(model, version, items, emit)


async def test_a_request_that_no_endpoint_survives_fails_alone() -> None:
    crashers = [Crasher() for _ in range(3)]
    stages = [RunningStage(crasher, StateBoard()) for crasher in crashers]
    for stage, crasher in zip(stages, crashers, strict=True):
        await stage.start()
        crasher.stage = stage
    async with upstream(stages[0], outlier=NEVER, max_in_flight=1) as up:
        items = requests(6)
        taker = Gatherer(items)
        up.names.stages = stages  # the others are found while the first one has the group
        await until(lambda: len(up.client.states()) == 3)
        up.client.send(KEY, items, taker)
        await taker.done.wait()
        lost = [item for item in items if isinstance(item.outcome, TriremeError)]
        assert {item.request.request_id for item in lost} <= {"r0"} | _shared_twice(crashers)
        assert items[0] in lost
    for stage, crasher in zip(stages, crashers, strict=True):
        await asyncio.gather(*crasher.killing)
        await stage.kill()


def _shared_twice(crashers: Sequence[Crasher]) -> set[str]:
    """Requests that were at two endpoints when they went away: in the same message as the one that did it."""
    gone = [
        {item.request_id for message in crasher.messages for item in message if crasher.killing}
        for crasher in crashers
    ]
    return {name for name in set().union(*gone) if sum(name in names for names in gone) > 1}


async def test_a_request_of_many_items_that_leaves_counts_once_against_the_endpoint() -> None:
    async with (
        stage_server(EchoHandler()) as stage,
        upstream(
            stage, outlier=OutlierPolicy(silence_seconds=600, ignored_seconds=0.0), hedge_fraction=0
        ) as up,
    ):
        handler(stage).gate.clear()
        leaving, staying = requests(2, items=5)[:5], requests(1, items=2)
        up.client.send(KEY, leaving + staying, Gatherer([]))
        await until(lambda: len(handler(stage).payloads) == 7)
        await asyncio.sleep(0.15)  # longer than the hedge's delay, so that leaving says something
        up.client.withdraw(leaving)
        (endpoint,) = up.client.known()
        assert not endpoint.outlier.mute(time.monotonic() + 1)
        assert len(by_request(leaving + staying)) == 2
        up.client.withdraw(staying)
        assert up.client.idle
