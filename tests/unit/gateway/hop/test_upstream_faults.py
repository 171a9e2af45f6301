"""A stage's client and endpoints that are slow, silent, half gone or on their way out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.support.catalogs import state
from tests.support.stages import EchoHandler, RunningStage, StateBoard, stage_server, until
from tests.unit.gateway.hop.upstreams import BY_FAILURES, QUICK, arrival, handler, stuck_call, two, upstream
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_stream import Emit, Item, Outcome
from trireme_gateway.hop.outlier import OutlierPolicy


async def test_a_late_answer_is_asked_for_elsewhere_and_the_loser_cancelled() -> None:
    async with two() as (slow, quick), upstream(slow, quick, hedge_fraction=0.05) as up:
        call = await stuck_call(up, slow)
        assert (await call).outcomes == [b"stuck"]
        await until(lambda: all(item.cancelled for item in handler(slow).messages[0]))
        assert up.notes.hedges == {"won": 1}
        assert up.notes.retries == 0
        handler(slow).gate.set()  # its late answer is dropped
        assert (await up.ask(b"next")).outcomes == [b"next"]
        assert up.client.idle


async def test_an_endpoint_whose_calls_are_all_answered_elsewhere_is_found_silent() -> None:
    """Its calls are taken back when their hedges win, so nothing that is unanswered shows it."""
    async with (
        two() as (silent, other),
        upstream(silent, other, hedge_fraction=1, outlier=OutlierPolicy(silence_seconds=600)) as up,
    ):
        handler(silent).gate.clear()
        async with asyncio.timeout(20):
            while not up.notes.ejections["silence"]:
                assert (await up.ask(b"x")).outcomes == [b"x"]
        assert up.notes.hedges["won"] >= 3


async def test_without_hedging_the_same_call_waits() -> None:
    async with two() as (slow, quick), upstream(slow, quick) as up:
        call = await stuck_call(up, slow)
        await asyncio.sleep(0.3)
        assert not call.done()
        handler(slow).gate.set()
        assert (await call).outcomes == [b"stuck"]


async def test_a_hedge_that_loses_is_cancelled_too() -> None:
    async with two() as (first, second), upstream(first, second, hedge_fraction=0.05) as up:
        for stage in (first, second):
            handler(stage).gate.clear()
        call = up.begin(b"a")
        await until(lambda: bool(handler(first).payloads) and bool(handler(second).payloads))
        asked_first = min((first, second), key=lambda stage: handler(stage).messages[0][0].received)
        loser = second if asked_first is first else first
        handler(asked_first).gate.set()
        assert (await call).outcomes == [b"a"]
        await until(lambda: handler(loser).messages[0][0].cancelled)
        assert up.notes.hedges == {"lost": 1}


async def test_hedges_and_retries_share_the_budget() -> None:
    async with two() as (slow, quick), upstream(slow, quick, hedge_fraction=1, retry_fraction=0) as up:
        call = await stuck_call(up, slow)
        await until(lambda: up.notes.hedges["refused"] == 1)
        handler(slow).gate.set()
        await call


async def test_a_fault_of_one_endpoint_does_not_beat_the_answer_of_the_other() -> None:
    async with two() as (slow, faulty), upstream(slow, faulty, hedge_fraction=0.05) as up:
        call = await stuck_call(up, slow)
        handler(faulty).answer = lambda _: TriremeError(Code.INTERNAL, "broken")
        await until(lambda: b"stuck" in handler(faulty).payloads)
        await asyncio.sleep(0.02)
        assert not call.done()
        handler(slow).gate.set()
        assert (await call).outcomes == [b"stuck"]


class HalfHandler(EchoHandler):
    """Answers the first item of every message and holds the others back."""

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        self.messages.append(list(items))
        emit([Outcome(items[0], b"early")])
        await asyncio.Event().wait()


async def test_exactly_the_unanswered_items_fail_over() -> None:
    half = RunningStage(HalfHandler(), StateBoard())
    await half.start()
    async with stage_server(EchoHandler()) as other, upstream(half, other) as up:
        while True:  # until chance sends one to the endpoint that breaks
            call = up.begin(b"a", b"b", b"c")
            await arrival(call, half)
            if not call.done():
                break
        await asyncio.sleep(0.05)
        before = len(handler(other).payloads)
        await half.kill()
        assert (await call).outcomes == [b"early", b"b", b"c"]
        assert handler(other).payloads[before:] == [b"b", b"c"]
        assert up.notes.retries == 1


async def test_without_a_budget_the_unanswered_items_fail_and_the_answered_stay() -> None:
    half = RunningStage(HalfHandler(), StateBoard())
    await half.start()
    async with upstream(half, retry_fraction=0) as up:
        call = up.begin(b"a", b"b")
        await until(lambda: bool(handler(half).payloads))
        await asyncio.sleep(0.05)
        await half.kill()
        answered, lost = (await call).outcomes
        assert answered == b"early"
        assert isinstance(lost, TriremeError)
        assert lost.code is Code.BACKEND_UNAVAILABLE


async def test_what_was_there_when_two_endpoints_went_away_is_not_risked_on_a_third() -> None:
    fallen: list[asyncio.Task[None]] = []

    class Crasher(EchoHandler):
        async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
            self.messages.append(list(items))
            await asyncio.sleep(0.01)
            stage = next(stage for stage in stages if stage.handler is self)
            fallen.append(asyncio.create_task(stage.kill()))
            await asyncio.Event().wait()

    stages = [RunningStage(Crasher(), StateBoard()) for _ in range(3)]
    for stage in stages:
        await stage.start()
    async with upstream(*stages) as up:
        with pytest.raises(TriremeError) as refused:
            await up.ask(b"poison")
        assert refused.value.code is Code.BACKEND_UNAVAILABLE
        assert len(fallen) == 2
        assert up.notes.retries == 1
    await asyncio.gather(*(stage.kill() for stage in stages))


async def test_a_silent_endpoint_is_ejected_and_comes_back_with_its_first_word() -> None:
    async with two() as (silent, other), upstream(silent, other, outlier=QUICK) as up:
        call = await stuck_call(up, silent)
        assert (await call).outcomes == [b"stuck"]
        assert up.notes.ejections["silence"] >= 1
        assert up.notes.retries >= 1
        await until(lambda: up.notes.states == {"usable": 1, "ejected": 1, "draining": 0, "connecting": 0})
        asked = len(handler(silent).payloads)
        for _ in range(20):
            await up.ask(b"x")
        assert len(handler(silent).payloads) <= asked + 2  # a probe now and then
        handler(silent).gate.set()
        silent.board.publish(state("echo", device="cpu"))
        await until(lambda: up.notes.states["usable"] == 2)
        seen = len(handler(silent).payloads)
        while len(handler(silent).payloads) == seen:
            await up.ask(b"y")


async def test_a_probe_finds_out_that_an_endpoint_is_well_again() -> None:
    async with two() as (silent, other), upstream(silent, other, outlier=QUICK) as up:
        await (await stuck_call(up, silent))
        await until(lambda: handler(silent).messages[0][0].cancelled)  # so no late answer will tell
        handler(silent).gate.set()
        async with asyncio.timeout(10):
            while up.notes.states["usable"] < 2:
                assert (await up.ask(b"x")).outcomes == [b"x"]
                await asyncio.sleep(0.01)


async def test_the_last_endpoint_is_never_ejected() -> None:
    async with stage_server(EchoHandler()) as only, upstream(only, outlier=QUICK) as up:
        handler(only).gate.clear()
        call = up.begin(b"a")
        await asyncio.sleep(0.3)
        assert not up.notes.ejections
        handler(only).gate.set()
        assert (await call).outcomes == [b"a"]


async def test_an_endpoint_of_which_every_answer_is_a_fault_is_ejected_and_probed() -> None:
    async with two() as (broken, well), upstream(broken, well, outlier=BY_FAILURES) as up:
        handler(broken).answer = lambda _: TriremeError(Code.INTERNAL, "no")
        faults = 0
        async with asyncio.timeout(10):
            while not up.notes.ejections["failures"]:
                (outcome,) = (await up.ask(b"x")).outcomes
                faults += isinstance(outcome, TriremeError)
        assert faults >= 5
        handler(broken).answer = lambda payload: payload
        async with asyncio.timeout(10):
            while up.notes.states.get("usable") != 2:
                await up.ask(b"x")
                await asyncio.sleep(0.01)


async def test_bad_items_are_no_fault_of_the_endpoint() -> None:
    async with two() as (first, second), upstream(first, second, outlier=BY_FAILURES) as up:
        for stage in (first, second):
            handler(stage).answer = lambda _: TriremeError(Code.BLANK_TEXT, "blank")
        for _ in range(40):
            await up.ask(b" ")
        await asyncio.sleep(0.2)
        assert not up.notes.ejections


class SlowHandler(EchoHandler):
    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        await asyncio.sleep(0.1)
        await super().handle(model, version, items, emit)


async def test_a_slow_endpoint_loses_its_share_even_where_calls_come_one_by_one() -> None:
    slow, quick = SlowHandler(), EchoHandler()
    async with stage_server(slow) as first, stage_server(quick) as second, upstream(first, second) as up:
        for number in range(200):
            assert (await up.ask(b"%d" % number)).outcomes == [b"%d" % number]
        assert len(slow.payloads) < 40  # of a fair share of 100; what it got first showed what it is
        assert len(slow.payloads) + len(quick.payloads) == 200
