from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from tests.support.hops import FakeHop, RecordingObserver, TaskHop
from trireme_common.errors import Code, TriremeError
from trireme_gateway.context import RequestContext
from trireme_gateway.hop.ports import HopItem, Key, UnansweredError
from trireme_gateway.relay import Relay

KEY = ("m", "1")
STAGES = ("preprocess", "inference", "postprocess")
GONE = TriremeError(Code.BACKEND_UNAVAILABLE, "gone")


def context(request_id: str = "r", seconds: float = 10) -> RequestContext:
    return RequestContext(request_id, time.monotonic() + seconds)


def relay(*hops: TaskHop, together: bool = True) -> Relay:
    named = list(zip(STAGES, hops, strict=False))
    return Relay(named, RecordingObserver().observe_stage, together=together)


class InParts(TaskHop):
    """Answers the calls it was sent one by one, when the test says so; items in the parts that it names."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[bytes]] = []
        self.slow = asyncio.Event()

    def send(self, key: Key, items: Sequence[HopItem], taker: object) -> None:
        self.asked.append([item.payload for item in items])
        quick = [item for item in items if not item.payload.startswith(b"slow")]
        slow = [item for item in items if item.payload.startswith(b"slow")]
        for part in (quick, slow):
            if part:
                super().send(key, part, taker)  # type: ignore[arg-type]

    async def answer(self, key: Key, items: Sequence[HopItem]) -> Sequence[bytes | TriremeError]:
        if items[0].payload.startswith(b"slow"):
            await self.slow.wait()
        return [item.payload.upper() for item in items]


async def test_requests_that_come_together_travel_together_and_come_apart_at_the_end() -> None:
    hops = FakeHop(lambda payload: payload + b"1"), FakeHop(lambda payload: payload + b"2"), FakeHop()
    made = relay(*hops)
    asked = [made.run(KEY, [b"%d" % n, b"x%d" % n], context(f"r{n}")) for n in range(5)]
    assert await asyncio.gather(*asked) == [[b"%d12" % n, b"x%d12" % n] for n in range(5)]
    assert [[call.shares for call in hop.calls] for hop in hops] == [[[2] * 5]] * 3


async def test_an_item_does_not_wait_for_its_slower_neighbours() -> None:
    first, last = InParts(), FakeHop()
    made = relay(first, last)
    slow = asyncio.create_task(made.run(KEY, [b"slow"], context("s")))
    quick = [asyncio.create_task(made.run(KEY, [b"q%d" % n], context())) for n in range(3)]
    assert await asyncio.gather(*quick) == [[b"Q0"], [b"Q1"], [b"Q2"]]
    assert first.asked == [[b"slow", b"q0", b"q1", b"q2"]]
    assert not slow.done()
    first.slow.set()
    assert await slow == [b"SLOW"]
    assert [call.payloads for call in last.calls] == [[b"Q0", b"Q1", b"Q2"], [b"SLOW"]]


async def test_versions_do_not_mix() -> None:
    hop = FakeHop()
    made = relay(hop, hop)
    await asyncio.gather(*(made.run(("m", str(n % 2)), [b"x"], context()) for n in range(4)))
    assert sorted((call.version, call.shares) for call in hop.calls) == [
        ("0", [1, 1]), ("0", [1, 1]), ("1", [1, 1]), ("1", [1, 1]),
    ]  # fmt: skip


async def test_without_coalescing_every_request_goes_alone() -> None:
    hop = FakeHop()
    await asyncio.gather(
        *(relay(hop, hop, together=False).run(KEY, [b"a", b"b"], context()) for _ in range(2))
    )
    assert [call.shares for call in hop.calls] == [[2]] * 4


async def test_one_bad_item_fails_neither_its_request_nor_its_neighbours() -> None:
    blank = TriremeError(Code.BLANK_TEXT, "blank")
    hops = FakeHop(lambda payload: blank if payload == b" " else payload), FakeHop()
    made = relay(*hops)
    found = await asyncio.gather(
        made.run(KEY, [b"a", b" "], context()),
        made.run(KEY, [b" "], context()),
        made.run(KEY, [b"b"], context()),
    )
    assert found == [[b"a", blank], [blank], [b"b"]]
    assert [call.payloads for call in hops[1].calls] == [[b"a", b"b"]]


async def test_only_a_request_of_which_nothing_was_answered_fails_as_a_whole() -> None:
    gone = UnansweredError(GONE.code, GONE.detail)
    hop = FakeHop(lambda payload: gone if payload == b"x" else payload)
    made = relay(hop)
    lost, part = await asyncio.gather(
        made.run(KEY, [b"x", b"x"], context()), made.run(KEY, [b"a", b"x"], context()), return_exceptions=True
    )
    assert isinstance(lost, TriremeError)
    assert (lost.code, lost is gone) == (Code.BACKEND_UNAVAILABLE, False)
    assert part == [b"a", gone]


async def test_a_request_whose_time_is_up_leaves_its_neighbours_alone() -> None:
    hop, last = FakeHop(), FakeHop()
    hop.gate = asyncio.Event()
    made = relay(hop, last)
    late_context = context(seconds=0.05)
    late = asyncio.create_task(made.run(KEY, [b"late"], late_context))
    other = asyncio.create_task(made.run(KEY, [b"a"], context()))
    with pytest.raises(TriremeError) as raised:
        await late
    assert raised.value.code is Code.DEADLINE_EXCEEDED
    assert late_context.stage_seconds["preprocess"] >= 0.04  # where the time went
    hop.gate.set()
    assert await other == [b"a"]
    assert [call.payloads for call in last.calls] == [[b"a"]]


async def test_what_nobody_waits_for_any_more_is_withdrawn() -> None:
    hop = FakeHop()
    hop.gate = asyncio.Event()
    made = relay(hop)
    calls = [asyncio.create_task(made.run(KEY, [b"x"], context())) for _ in range(2)]
    while not hop.calls:
        await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.wait(calls[:1])
    assert hop.cancelled == 0
    calls[1].cancel()
    await asyncio.wait(calls[1:])
    assert hop.cancelled == 1


async def test_a_caller_that_leaves_before_setting_out_is_not_sent() -> None:
    hop = FakeHop()
    made = relay(hop)
    leaving = asyncio.create_task(made.run(KEY, [b"x"], context()))
    asyncio.get_running_loop().call_soon(leaving.cancel)
    staying = asyncio.create_task(made.run(KEY, [b"y"], context()))
    await asyncio.wait([leaving])
    assert await staying == [b"y"]
    assert [call.payloads for call in hop.calls] in ([[b"y"]], [[b"x"], [b"y"]], [[b"x", b"y"]])


async def test_nothing_to_do_is_done() -> None:
    hop = FakeHop()
    assert await relay(hop).run(KEY, [], context()) == []
    assert not hop.calls


async def test_a_run_may_begin_and_end_at_any_hop() -> None:
    hops = FakeHop(lambda payload: payload + b"1"), FakeHop(lambda payload: payload + b"2"), FakeHop()
    asked = context()
    assert await relay(*hops).run(KEY, [b"x"], asked, first=1, last=1) == [b"x2"]
    assert list(asked.stage_seconds) == ["inference", "queue"]
    assert not hops[0].calls + hops[2].calls
