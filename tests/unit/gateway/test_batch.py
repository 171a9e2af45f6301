from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest

from tests.support.catalogs import catalog, version
from tests.support.gateways import Stages
from tests.support.hops import FakeHop, item_text
from trireme_common.errors import Code, TriremeError
from trireme_gateway.batch import WINDOW_TEXTS, WINDOWS_IN_FLIGHT, Batch, TextOutcome, lines
from trireme_gateway.catalog import Route
from trireme_gateway.context import RequestContext
from trireme_gateway.hop.ports import HopItem, Key, UnansweredError

ROUTE = catalog("m").resolve("m")
FAULT = TriremeError(Code.INVALID_ARGUMENT, "the body broke")


class Source:
    """Texts, each in a chunk of its own, then perhaps a fault; counts what was taken."""

    def __init__(self, texts: Sequence[str], fault: TriremeError | None = None) -> None:
        self.texts = texts
        self.fault = fault
        self.taken = 0

    async def __call__(self) -> AsyncIterator[list[str]]:
        for text in self.texts:
            self.taken += 1
            yield [text]
        if self.fault is not None:
            raise self.fault


def batch_of(stages: Stages, route: Route = ROUTE, seconds: float = 10) -> tuple[Batch, RequestContext]:
    context = RequestContext("r", time.monotonic() + seconds)
    return Batch(stages.pipeline(), route, context, seconds), context


async def run(batch: Batch, source: Source) -> list[TextOutcome]:
    return [outcome async for outcomes in batch.outcomes(source()) for outcome in outcomes]


def numbered(count: int) -> list[str]:
    return [f"t{number}" for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, WINDOW_TEXTS, WINDOW_TEXTS + 1, 1000])
async def test_every_text_is_answered_in_its_order(count: int) -> None:
    batch, context = batch_of(Stages())
    found = await run(batch, Source(numbered(count)))
    assert [(outcome.index, outcome.text) for outcome in found] == list(enumerate(numbered(count)))
    assert (batch.total, batch.failed) == (count, 0)
    assert context.items == count
    assert (context.model or "m") == "m"


async def test_order_holds_although_windows_finish_in_another() -> None:
    class Uneven(FakeHop):
        async def answer(self, key: Key, items: Sequence[HopItem]) -> Sequence[bytes | TriremeError]:
            first = len(self.calls) == 0
            outcomes = await super().answer(key, items)
            await asyncio.sleep(0.03 if first else 0)
            return outcomes

    batch, _ = batch_of(Stages(inference=Uneven()))
    texts = numbered(WINDOW_TEXTS * 6)
    assert [outcome.text for outcome in await run(batch, Source(texts))] == texts


async def test_bad_texts_fail_alone() -> None:
    batch, context = batch_of(Stages())
    found = await run(batch, Source(["a", " ", "b"] * 100))
    failed = [outcome.index for outcome in found if isinstance(outcome.outcome, TriremeError)]
    assert failed == list(range(1, 300, 3))
    assert (batch.failed, context.failed) == (100, 100)


async def test_a_window_that_cannot_be_served_costs_its_own_texts() -> None:
    stages = Stages()
    second = set(numbered(WINDOW_TEXTS * 2)[WINDOW_TEXTS:])

    def step(payload: bytes) -> bytes | TriremeError:
        gone = item_text(payload) in second
        return UnansweredError(Code.BACKEND_UNAVAILABLE, "gone") if gone else payload

    stages.preprocess.step = step
    batch, _ = batch_of(stages)
    found = await run(batch, Source(numbered(WINDOW_TEXTS * 3)))
    failed = [outcome.index for outcome in found if isinstance(outcome.outcome, TriremeError)]
    assert failed == list(range(WINDOW_TEXTS, WINDOW_TEXTS * 2))
    assert len(found) == WINDOW_TEXTS * 3


async def test_windows_are_no_larger_than_the_model_takes() -> None:
    stages = Stages()
    batch, _ = batch_of(stages, catalog(version("m", max_items=5)).resolve("m"))
    found = await run(batch, Source(numbered(23)))
    assert not any(isinstance(outcome.outcome, TriremeError) for outcome in found)
    assert [share for call in stages.preprocess.calls for share in call.shares] == [5, 5, 5, 5, 3]


async def test_a_fault_of_the_body_in_its_first_window_is_raised() -> None:
    stages = Stages()
    batch, _ = batch_of(stages)
    with pytest.raises(TriremeError) as raised:
        await run(batch, Source(numbered(WINDOW_TEXTS - 1), FAULT))
    assert raised.value is FAULT
    assert not stages.preprocess.calls


async def test_answers_leave_while_the_body_pauses() -> None:
    sent: asyncio.Queue[list[str]] = asyncio.Queue()

    async def asked() -> AsyncIterator[list[str]]:
        while texts := await sent.get():
            yield texts

    batch, _ = batch_of(Stages())
    async with aclosing(batch.outcomes(asked())) as outcomes:
        for texts in (["a"], ["b", "c"], numbered(WINDOW_TEXTS + 1)):
            sent.put_nowait(texts)
            found: list[TextOutcome] = []
            while len(found) < len(texts):
                found += await anext(outcomes)
            assert [outcome.text for outcome in found] == texts
        sent.put_nowait([])
        assert [left async for left in outcomes] == []
    assert batch.total == WINDOW_TEXTS + 4


async def test_a_fault_behind_a_pause_refuses_the_whole_while_nothing_has_left() -> None:
    stages = Stages()
    stages.preprocess.gate = asyncio.Event()

    async def pausing() -> AsyncIterator[list[str]]:
        yield ["a"]
        while not stages.preprocess.calls:
            await asyncio.sleep(0)
        raise FAULT

    batch, _ = batch_of(stages)
    with pytest.raises(TriremeError) as raised:
        [outcomes async for outcomes in batch.outcomes(pausing())]
    assert raised.value is FAULT
    assert stages.preprocess.cancelled == 1


async def test_a_fault_behind_a_pause_and_answers_is_the_last_outcome() -> None:
    answered = asyncio.Event()

    async def pausing() -> AsyncIterator[list[str]]:
        yield ["a"]
        await answered.wait()
        raise FAULT

    batch, _ = batch_of(Stages())
    async with aclosing(batch.outcomes(pausing())) as outcomes:
        assert [outcome.text for outcome in await anext(outcomes)] == ["a"]
        answered.set()
        assert await anext(outcomes) == [TextOutcome(1, None, FAULT)]


async def test_a_later_fault_ends_the_run_with_an_outcome_of_its_own() -> None:
    batch, _ = batch_of(Stages())
    count = WINDOW_TEXTS + 10
    found = await run(batch, Source(numbered(count), FAULT))
    assert [outcome.text for outcome in found] == [*numbered(count), None]
    assert found[-1] == TextOutcome(count, None, FAULT)
    assert (batch.total, batch.failed) == (count + 1, 1)


async def test_a_caller_that_leaves_ends_the_run_and_its_windows() -> None:
    stages = Stages()
    stages.preprocess.gate = asyncio.Event()
    batch, _ = batch_of(stages)
    left = TriremeError(Code.CANCELLED, "the caller left")
    with pytest.raises(TriremeError) as raised:
        await run(batch, Source(numbered(WINDOW_TEXTS * 2), left))
    assert raised.value is left
    assert stages.preprocess.cancelled == len(stages.preprocess.calls)


async def test_a_slow_reader_holds_back_the_reading_of_the_body() -> None:
    source = Source(numbered(10_000))
    batch, _ = batch_of(Stages())
    async with aclosing(batch.outcomes(source())) as outcomes:
        await anext(outcomes)
        for _ in range(50):
            await asyncio.sleep(0)
        assert source.taken <= WINDOW_TEXTS * (WINDOWS_IN_FLIGHT + 1)


async def test_leaving_early_leaves_no_task_behind() -> None:
    stages = Stages()
    stages.inference.gate = asyncio.Event()
    batch, _ = batch_of(stages)
    before = asyncio.all_tasks()
    reading = asyncio.create_task(run(batch, Source(numbered(1000))))
    while len(stages.inference.calls) < WINDOWS_IN_FLIGHT:
        await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert stages.inference.cancelled == WINDOWS_IN_FLIGHT


async def test_lines_end_with_the_totals() -> None:
    batch, _ = batch_of(Stages())

    def encode(outcome: TextOutcome) -> bytes:
        return json.dumps(outcome.text).encode() + b"\n"

    parts = lines(batch, Source(numbered(150))(), encode, lambda: json.dumps(batch.total).encode() + b"\n")
    found = [part async for part in parts]
    assert [json.loads(line) for line in b"".join(found).splitlines()] == [*numbered(150), 150]
    assert len(found) == 4
