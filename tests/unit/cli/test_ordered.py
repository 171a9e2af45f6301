import asyncio

import pytest

from trireme_cli.predict.ordered import ordered


async def test_results_come_in_order_and_calls_are_bounded() -> None:
    running, most = 0, 0

    async def call(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(20 - item):
            await asyncio.sleep(0)
        running -= 1
        return item * 10

    results = [result async for result in ordered(range(20), call, concurrency=4)]

    assert results == [item * 10 for item in range(20)]
    assert most == 4


async def test_a_failure_cancels_what_is_under_way() -> None:
    cancelled = []

    async def call(item: int) -> int:
        if item == 0:
            await asyncio.sleep(0)
            raise ValueError("no")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    with pytest.raises(ValueError, match="no"):
        [result async for result in ordered(range(9), call, concurrency=3)]

    assert cancelled == [1, 2]
