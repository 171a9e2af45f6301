"""What becomes of a request that is held."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.support.catalogs import catalog, state, version
from tests.support.stages import until
from trireme_common.errors import Code, TriremeError
from trireme_common.orders import Ledger, Order
from trireme_common.stage_state import State
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS, Asleep, Catalog, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.holding.holding import Holding, HoldLimits

BOTH = {PREPROCESS: [state("m", "n")], POSTPROCESS: [state("m", "n")]}


class Endings:
    """HoldObserver that remembers."""

    def __init__(self) -> None:
        self.depths: list[tuple[str, int]] = []
        self.endings: list[tuple[str, str]] = []

    def depth(self, model: str, requests: int) -> None:
        self.depths.append((model, requests))

    def ended(self, model: str, ending: str, seconds: float) -> None:
        assert seconds >= 0
        self.endings.append((model, ending))


class Sleeper:
    """A catalogue whose inference has gone to zero, and requests that are held for it."""

    def __init__(self, requests: int = 10, seconds: float = 60.0) -> None:
        self.catalog = Catalog(inference_sleeps=True)
        self.seen = Endings()
        self.holding = Holding(HoldLimits(requests, seconds), self.catalog.asleep, self.seen)
        self.rebuild([])

    def rebuild(self, inference: list[object], orders: Ledger | None = None) -> None:
        self.catalog.rebuild({**BOTH, INFERENCE: inference}, orders)  # type: ignore[dict-item]
        self.holding.look()

    def ask(self, name: str = "m", seconds: float = 60.0, size: int = 0) -> asyncio.Task[Route]:
        context = RequestContext("id", time.monotonic() + seconds)

        def find() -> Route:
            return self.catalog.resolve(name)

        async def held() -> Route:
            try:
                return find()
            except Asleep as asleep:
                return await self.holding.route(asleep, find, context, size)

        return asyncio.create_task(held())

    async def waiting(self, requests: int) -> None:
        await until(lambda: len(self.holding.queue) == requests)


async def refusal(task: asyncio.Task[Route]) -> TriremeError:
    with pytest.raises(TriremeError) as refused:
        await asyncio.wait_for(task, 10)
    return refused.value


async def test_it_goes_on_once_inference_has_the_model_first_come_first_served() -> None:
    sleeper = Sleeper()
    order: list[int] = []
    tasks = []
    for number in range(4):
        task = sleeper.ask()
        task.add_done_callback(lambda _, number=number: order.append(number))  # type: ignore[misc]
        tasks.append(task)
    await sleeper.waiting(4)
    sleeper.rebuild([state(version("m", found=State.LOADING))])
    sleeper.rebuild([state("m")])
    routes = await asyncio.gather(*tasks)
    assert [route.version for route in routes] == ["1"] * 4
    assert order == [0, 1, 2, 3]
    assert sleeper.seen.endings == [("m", "served")] * 4
    assert sleeper.seen.depths[-1] == ("m", 0)


async def test_only_those_whose_model_is_there_go_on() -> None:
    sleeper = Sleeper()
    one, other = sleeper.ask("m"), sleeper.ask("n")
    await sleeper.waiting(2)
    sleeper.rebuild([state("n")])
    assert (await other).model == "n"
    await sleeper.waiting(1)
    assert not one.done()
    sleeper.rebuild([state("n", "m")])
    assert (await one).model == "m"


async def test_the_bare_model_wakes_with_its_pipeline() -> None:
    sleeper = Sleeper()
    task = sleeper.ask("m.inference")
    await sleeper.waiting(1)
    sleeper.rebuild([state("m")])
    assert (await task).bare


async def test_over_the_bound_it_is_refused_at_once() -> None:
    sleeper = Sleeper(requests=1)
    first = sleeper.ask()
    await sleeper.waiting(1)
    error = await refusal(sleeper.ask())
    assert error.code is Code.MODEL_NOT_READY
    assert "as many requests as may be held" in error.detail
    first.cancel()
    await sleeper.waiting(0)
    second = sleeper.ask()
    await sleeper.waiting(1)
    sleeper.rebuild([state("m")])
    assert (await second).version == "1"
    assert sleeper.seen.endings == [("m", "full"), ("m", "left"), ("m", "served")]


@pytest.mark.parametrize(("hold", "own"), [(0.02, 60.0), (60.0, 0.02)])
async def test_its_time_ends_by_the_hold_or_by_its_own_deadline(hold: float, own: float) -> None:
    sleeper = Sleeper(seconds=hold)
    error = await refusal(sleeper.ask(seconds=own))
    assert error.code is Code.MODEL_NOT_READY
    assert "in time" in error.detail
    assert sleeper.seen.endings == [("m", "late")]
    assert len(sleeper.holding.queue) == 0


async def test_a_caller_that_leaves_frees_its_place() -> None:
    sleeper = Sleeper()
    task = sleeper.ask()
    await sleeper.waiting(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(sleeper.holding.queue) == 0
    assert sleeper.seen.endings == [("m", "left")]


def bad(sleeper: Sleeper) -> None:
    sleeper.rebuild([state(version("m", found=State.UNAVAILABLE, reason="truncated"))])


def unloaded(sleeper: Sleeper) -> None:
    sleeper.rebuild([], Ledger([Order(1, "m", unloaded=True)]))


def gone(sleeper: Sleeper) -> None:
    sleeper.catalog.rebuild({stage: [state("n")] for stage in (PREPROCESS, POSTPROCESS)})
    sleeper.holding.look()


@pytest.mark.parametrize(
    ("happens", "code", "told"),
    [
        (bad, Code.MODEL_NOT_READY, "truncated"),
        (unloaded, Code.MODEL_NOT_READY, "unloaded"),
        (gone, Code.MODEL_NOT_FOUND, "unknown model"),
        (lambda sleeper: sleeper.holding.close(), Code.MODEL_NOT_READY, "loading"),
    ],
)
async def test_what_cannot_be_served_after_all_is_answered_at_once(
    happens: Callable[[Sleeper], None], code: Code, told: str
) -> None:
    sleeper = Sleeper()
    task = sleeper.ask()
    await sleeper.waiting(1)
    happens(sleeper)
    error = await refusal(task)
    assert error.code is code
    assert told in error.detail
    assert sleeper.seen.endings == [("m", "refused")]


async def test_a_model_that_falls_asleep_again_keeps_the_place() -> None:
    sleeper = Sleeper()
    task = sleeper.ask()
    await sleeper.waiting(1)
    sleeper.rebuild([state("m")])
    sleeper.rebuild([])  # before the request had its turn
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    assert len(sleeper.holding.queue) == 1
    sleeper.rebuild([state("m")])
    assert (await task).version == "1"


async def test_nothing_is_held_after_the_end_or_where_it_is_off() -> None:
    sleeper = Sleeper()
    sleeper.holding.close()
    assert (await refusal(sleeper.ask())).code is Code.MODEL_NOT_READY
    off = Sleeper(requests=0)
    assert not off.holding.enabled
    assert (await refusal(off.ask())).code is Code.MODEL_NOT_READY
    assert off.seen.endings == []


async def test_an_awake_model_asks_nobody() -> None:
    found = catalog("m")
    assert not found.asleep("m")
    assert not found.asleep("nobody")
