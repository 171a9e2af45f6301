from __future__ import annotations

import asyncio
import time

from tests.support.stages import until
from trireme_common.http2.keepalive import Keepalive, Patience


class Watch:
    """A peer that is watched: counts its pings, and when it was given up."""

    def __init__(self, idle_seconds: float, answer_seconds: float) -> None:
        self.pings = 0
        self.given_up = 0
        self.keepalive = Keepalive(Patience(idle_seconds, answer_seconds), self._ping, self._give_up)

    def _ping(self) -> None:
        self.pings += 1

    def _give_up(self) -> None:
        self.given_up += 1


async def test_a_silent_peer_is_pinged_and_then_given_up_once() -> None:
    watch = Watch(0.02, 0.03)
    started = time.monotonic()
    watch.keepalive.start()
    await until(lambda: watch.given_up > 0)
    assert time.monotonic() - started >= 0.048  # uvloop's timers count whole milliseconds
    await asyncio.sleep(0.1)
    assert (watch.pings, watch.given_up) == (1, 1)
    watch.keepalive.stop()


async def test_a_peer_that_answers_is_pinged_again_after_the_next_silence() -> None:
    watch = Watch(0.01, 10)
    watch.keepalive.start()
    for count in (1, 2, 3):
        await until(lambda: watch.pings == count)  # noqa: B023  # waited for before the next
        watch.keepalive.heard()
        watch.keepalive.stop()
        watch.keepalive.start()
    assert watch.given_up == 0
    watch.keepalive.stop()


async def test_an_answer_within_its_time_is_enough() -> None:
    watch = Watch(0.01, 0.05)
    watch.keepalive.start()

    async def answer() -> None:
        count = 0
        while watch.pings < 4:
            if watch.pings > count:
                count = watch.pings
                watch.keepalive.heard()
            await asyncio.sleep(0.001)

    await asyncio.wait_for(answer(), 10)
    watch.keepalive.stop()
    assert watch.given_up == 0


async def test_one_that_speaks_is_not_pinged() -> None:
    watch = Watch(30, 30)
    watch.keepalive.start()
    for _ in range(20):
        watch.keepalive.heard()
        await asyncio.sleep(0.001)
    assert (watch.pings, watch.given_up) == (0, 0)
    watch.keepalive.stop()


async def test_nothing_happens_after_it_was_stopped() -> None:
    waiting, judging = Watch(0.01, 10), Watch(0.001, 0.01)
    waiting.keepalive.start()
    waiting.keepalive.stop()
    judging.keepalive.start()
    await until(lambda: judging.pings == 1)
    judging.keepalive.stop()
    await asyncio.sleep(0.05)
    assert (waiting.pings, waiting.given_up) == (0, 0)
    assert judging.given_up == 0


async def test_who_was_stopped_itself_looks_again_before_it_gives_up() -> None:
    watch = Watch(0.001, 0.02)
    watch.keepalive.start()
    await until(lambda: watch.pings == 1)
    time.sleep(0.2)  # this process did not run: an answer may lie in its socket
    asyncio.get_running_loop().call_soon(watch.keepalive.heard)
    await asyncio.sleep(0.002)
    assert watch.given_up == 0
    watch.keepalive.stop()


async def test_stop_may_come_before_start() -> None:
    watch = Watch(1, 1)
    watch.keepalive.stop()
    assert watch.pings == 0
