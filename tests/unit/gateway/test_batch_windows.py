"""Texts in windows: full ones, and smaller ones where the body pauses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_gateway.batch_windows import Windows

FAULT = TriremeError(Code.INVALID_ARGUMENT, "the body broke")
Chunk = list[str] | TriremeError | None


class Body:
    """Chunks of texts, as they are put in; None is the end, an error is raised."""

    def __init__(self, *chunks: Chunk) -> None:
        self.chunks: asyncio.Queue[Chunk] = asyncio.Queue()
        for chunk in chunks:
            self.chunks.put_nowait(chunk)

    async def __call__(self) -> AsyncIterator[list[str]]:
        while (chunk := await self.chunks.get()) is not None:
            if isinstance(chunk, TriremeError):
                raise chunk
            yield chunk


async def window(windows: Windows) -> list[str]:
    async with asyncio.timeout(10):
        await asyncio.wait((windows.reading(),))
    found = windows.taken()
    assert found is not None
    return found


async def test_small_chunks_that_are_there_travel_together_and_large_ones_apart() -> None:
    windows = Windows(Body(["a"], ["b", "c"], ["d", "e", "f", "g", "h"], ["i"], None)(), 3)
    assert [await window(windows) for _ in range(3)] == [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]
    assert await window(windows) == []
    assert windows.ended


async def test_where_the_body_pauses_what_has_come_is_handed_on() -> None:
    body = Body(["a", "b"])
    windows = Windows(body(), 3)
    assert await window(windows) == ["a", "b"]
    waiting = windows.reading()
    await asyncio.sleep(0)
    assert windows.taken() is None
    assert windows.reading() is waiting
    body.chunks.put_nowait(["c"])
    assert await window(windows) == ["c"]
    assert not windows.ended
    await windows.close()


async def test_the_end_comes_with_the_last_window_where_it_is_there() -> None:
    windows = Windows(Body(["a"], None)(), 3)
    assert await window(windows) == ["a"]
    assert windows.ended
    assert windows.fault is None


@pytest.mark.parametrize(("before", "in_first"), [(0, True), (2, True), (3, False), (4, False)])
async def test_a_fault_stands_behind_the_texts_before_it(before: int, in_first: bool) -> None:
    texts = [str(number) for number in range(before)]
    windows = Windows(Body(texts, FAULT)(), 3)
    found: list[str] = []
    while not windows.ended:
        assert windows.fault is None
        found += await window(windows)
    assert (found, windows.fault, windows.in_first) == (texts, FAULT, in_first)


async def test_a_caller_that_leaves_is_raised_at_once() -> None:
    left = TriremeError(Code.CANCELLED, "the caller left")
    windows = Windows(Body(["a"], left)(), 3)
    with pytest.raises(TriremeError) as raised:
        await window(windows)
    assert raised.value is left
    await windows.close()


async def test_closing_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    windows = Windows(Body(["a"])(), 3)
    assert await window(windows) == ["a"]
    windows.reading()
    await asyncio.sleep(0)
    await windows.close()
    assert asyncio.all_tasks() == before
