from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.repositories import write_model
from trireme_common.errors import Code, ItemError, TriremeError
from trireme_common.itemwise import ItemwiseHandler
from trireme_common.model_store import ModelStore
from trireme_common.repository import VersionFiles
from trireme_common.stage_state import ModelDescriptor
from trireme_common.stage_stream import Item, Outcome

LARGE = b"x" * 40_000


class Upper:
    def __init__(self, files: VersionFiles) -> None:
        self.descriptor = ModelDescriptor(task=files.spec.task)
        self.threads: set[str] = set()

    def __call__(self, payload: bytes) -> bytes:
        self.threads.add(threading.current_thread().name)
        if payload.startswith(b"bad"):
            raise ItemError(Code.BLANK_TEXT, "blank")
        if payload.startswith(b"odd"):
            raise ZeroDivisionError("quotes the input")
        return payload.upper()

    async def close(self) -> None:
        """Nothing to free."""


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2, "items") as pool:
        yield pool


@pytest.fixture
async def handler(tmp_path: object, executor: ThreadPoolExecutor) -> ItemwiseHandler[Upper]:
    write_model(tmp_path, "m", 1)  # type: ignore[arg-type]
    store: ModelStore[Upper] = ModelStore(tmp_path, Upper)  # type: ignore[arg-type]
    await store.refresh()
    return ItemwiseHandler(store, lambda servable, payload: servable(payload), executor, 2)


def item(number: int, payload: bytes, *, seconds: float = 10) -> Item:
    return Item(number, payload, time.monotonic() + seconds)


async def run(handler: ItemwiseHandler[Upper], items: Sequence[Item]) -> tuple[list[Outcome], int]:
    """All outcomes, and in how many pieces they came."""
    emitted: list[list[Outcome]] = []
    await handler.handle("m", "1", items, lambda outcomes: emitted.append(list(outcomes)))
    return sorted((outcome for part in emitted for outcome in part), key=lambda o: o.item.id), len(emitted)


def said(outcomes: list[Outcome]) -> list[object]:
    return [outcome.error.code if outcome.error else outcome.payload for outcome in outcomes]


async def test_small_messages_are_answered_together(handler: ItemwiseHandler[Upper]) -> None:
    outcomes, pieces = await run(handler, [item(1, b"a"), item(2, b"b")])
    assert said(outcomes) == [b"A", b"B"]
    assert pieces == 1
    assert all(outcome.queue_us >= 0 and outcome.compute_us >= 0 for outcome in outcomes)


async def test_large_messages_are_answered_item_by_item_from_threads(handler: ItemwiseHandler[Upper]) -> None:
    outcomes, _ = await run(handler, [item(1, LARGE), item(2, b"b"), item(3, LARGE)])
    assert said(outcomes) == [LARGE.upper(), b"B", LARGE.upper()]


async def test_an_item_of_a_large_message_does_not_wait_for_the_slowest(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow_if_asked(_: Upper, payload: bytes) -> bytes:
        if payload.startswith(b"slow"):
            assert gate.wait(20)
        return payload.upper()

    write_model(tmp_path, "m", 1)
    store: ModelStore[Upper] = ModelStore(tmp_path, Upper)
    await store.refresh()
    answered: list[int] = []

    def emit(outcomes: Sequence[Outcome]) -> None:
        answered.extend(outcome.item.id for outcome in outcomes)
        if len(answered) == 40:
            gate.set()

    with ThreadPoolExecutor(2, "items") as executor:
        handler = ItemwiseHandler(store, slow_if_asked, executor, 2, lambda _: True)
        items = [item(0, b"slow"), *(item(number, b"x") for number in range(1, 41))]
        await handler.handle("m", "1", items, emit)
    assert sorted(answered) == list(range(41))
    assert answered[-1] == 0


async def test_a_stream_that_is_gone_leaves_no_items_to_the_threads(tmp_path: Path) -> None:
    gate, ran = threading.Event(), []

    def held(_: Upper, payload: bytes) -> bytes:
        ran.append(payload)
        assert gate.wait(20)
        return payload

    write_model(tmp_path, "m", 1)
    store: ModelStore[Upper] = ModelStore(tmp_path, Upper)
    await store.refresh()
    with ThreadPoolExecutor(1, "items") as executor:
        handler = ItemwiseHandler(store, held, executor, 1, lambda _: True)
        items = [item(number, b"%d" % number) for number in range(5)]
        call = asyncio.create_task(handler.handle("m", "1", items, lambda _: None))
        while not ran:
            await asyncio.sleep(0.001)
        call.cancel()
        await asyncio.wait([call])
        gate.set()
    assert ran == [b"0"]


@pytest.mark.parametrize("filler", [b"ok", LARGE])
async def test_an_item_that_fails_fails_alone(handler: ItemwiseHandler[Upper], filler: bytes) -> None:
    gone = item(5, b"gone")
    gone.cancelled = True
    items = [
        item(1, filler),
        item(2, b"bad"),
        item(3, b"odd"),
        item(4, b"late", seconds=-1),
        gone,
        item(6, b"z"),
    ]
    outcomes, _ = await run(handler, items)
    codes = [Code.BLANK_TEXT, Code.INTERNAL, Code.DEADLINE_EXCEEDED, Code.CANCELLED]
    assert said(outcomes) == [filler.upper(), *codes, b"Z"]
    assert outcomes[2].error is not None
    assert outcomes[2].error.detail == "internal error"


async def test_an_unknown_version_refuses_the_message(handler: ItemwiseHandler[Upper]) -> None:
    with pytest.raises(TriremeError) as refused:
        await handler.handle("m", "2", [item(1, b"a")], lambda _: None)
    assert refused.value.code is Code.MODEL_NOT_FOUND


async def test_small_items_of_a_heavy_model_leave_the_event_loop(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    write_model(tmp_path, "m", 1)
    store: ModelStore[Upper] = ModelStore(tmp_path, Upper)
    await store.refresh()
    heavy = ItemwiseHandler(store, lambda servable, payload: servable(payload), executor, 2, lambda _: True)
    outcomes, _ = await run(heavy, [item(1, b"a"), item(2, b"b")])
    assert said(outcomes) == [b"A", b"B"]
    assert threading.current_thread().name not in store.get("m", "1").threads
