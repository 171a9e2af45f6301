"""A stage's client and endpoints that are slow, silent, half gone or on their way out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.catalogs import state
from tests.support.hops import HopAnswer, ask
from tests.support.stages import METHOD, EchoHandler, RunningStage, StateBoard, stage_server, until
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_stream import Emit, Item, Outcome
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.stage_client import StageClient, UpstreamPolicy
from trireme_gateway.hop.stream import by_stream

NEVER = OutlierPolicy(silence_seconds=600)
QUICK = OutlierPolicy(silence_seconds=0.2, unlearned_seconds=0.2, ejection_seconds=0.2)
BY_FAILURES = OutlierPolicy(silence_seconds=600, ejection_seconds=0.2)


@dataclass
class Notes:
    """HopObserver that remembers."""

    hedges: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    ejections: Counter[str] = field(default_factory=Counter)
    states: dict[str, int] = field(default_factory=dict)

    def wrote_message(self, items: int) -> None: ...

    def hedged(self, result: str) -> None:
        self.hedges[result] += 1

    def retried(self) -> None:
        self.retries += 1

    def ejected(self, reason: str) -> None:
        self.ejections[reason] += 1

    def endpoints(self, states: Mapping[str, int]) -> None:
        self.states = dict(states)


class Names:
    """`Resolve` whose answer a test sets."""

    def __init__(self, *stages: RunningStage) -> None:
        self.stages = list(stages)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        return [stage.address for stage in self.stages]


@dataclass
class Upstream:
    client: StageClient
    notes: Notes
    names: Names

    async def ask(self, *payloads: bytes, seconds: float = 30) -> HopAnswer:
        return await ask(self.client, ("echo", "1"), payloads, time.monotonic() + seconds)

    def begin(self, *payloads: bytes) -> asyncio.Task[HopAnswer]:
        return asyncio.create_task(self.ask(*payloads))


@asynccontextmanager
async def upstream(
    *stages: RunningStage,
    outlier: OutlierPolicy = NEVER,
    hedge_fraction: float = 0.0,
    retry_fraction: float = 0.2,
    max_in_flight: int = 2,
) -> AsyncIterator[Upstream]:
    notes, names = Notes(), Names(*stages)
    client = StageClient(
        "inference",
        by_stream("inference", METHOD, lambda: Pending(max_in_flight=max_in_flight, max_items=8), notes),
        ["stage:1"],
        on_change=lambda: None,
        policy=UpstreamPolicy(
            resolve_seconds=0.02,
            hedge_fraction=hedge_fraction,
            retry_fraction=retry_fraction,
            outlier=outlier,
        ),
        observer=notes,
        resolve=names,
    )
    client.start()
    try:
        await until(lambda: len(client.states()) == len(stages))
        yield Upstream(client, notes, names)
    finally:
        await client.close()


@asynccontextmanager
async def two() -> AsyncIterator[tuple[RunningStage, RunningStage]]:
    async with stage_server(EchoHandler()) as first, stage_server(EchoHandler()) as second:
        yield first, second


def handler(stage: RunningStage) -> EchoHandler:
    assert isinstance(stage.handler, EchoHandler)
    return stage.handler


async def arrival(call: asyncio.Task[HopAnswer], stage: RunningStage) -> None:
    """Waits until the call is at `stage`, or answered by another."""
    await until(lambda: call.done() or bool(handler(stage).payloads))


async def stuck_call(up: Upstream, stage: RunningStage) -> asyncio.Task[HopAnswer]:
    """A call under way at `stage`, which answers nothing for now; the others answer."""
    handler(stage).gate.clear()
    async with asyncio.timeout(10):
        while True:
            call = up.begin(b"stuck")
            await arrival(call, stage)
            if not call.done():
                return call


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
