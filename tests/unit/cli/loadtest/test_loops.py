"""Closed and open loop with askers that answer as a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trireme_cli.loadtest.http import Response
from trireme_cli.loadtest.loops import Pace, Run
from trireme_cli.loadtest.tally import Lost

GOOD = Response(200, b"HTTP/1.1 200 OK\r\n", b"{}")


class Asker:
    """Answers after `seconds`, and remembers what all were asked."""

    def __init__(self, seconds: float = 0.001, outcome: Response | Lost = GOOD) -> None:
        self.asked: list[bytes] = []
        self.under_way = self.most = self.closed = 0
        self._seconds = seconds
        self._outcome = outcome

    async def ask(self, request: bytes) -> Response | Lost:
        self.asked.append(request)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self._seconds)
        self.under_way -= 1
        return self._outcome

    def close(self) -> None:
        self.closed += 1


def shared(asker: Asker) -> Callable[[], Asker]:
    return lambda: asker


async def test_a_closed_loop_keeps_its_callers_busy() -> None:
    asker = Asker()
    pace = Pace(connections=4, warm_up_seconds=0, seconds=60, timeout_seconds=1, requests=40)
    tally = await Run(pace, [b"a", b"b"], shared(asker)).run()
    assert (tally.requests, tally.succeeded, tally.sent_bytes) == (40, 40, 40)
    assert asker.most == 4
    assert asker.asked.count(b"a") == asker.asked.count(b"b") == 20
    assert asker.closed == 4
    assert tally.latency.min >= 0.001


async def test_the_warm_up_does_not_count() -> None:
    asker = Asker(0.01)
    pace = Pace(connections=1, warm_up_seconds=0.1, seconds=60, timeout_seconds=1, requests=3)
    tally = await Run(pace, [b"a"], shared(asker)).run()
    assert tally.requests == 3
    assert len(asker.asked) > 3


async def test_an_open_loop_charges_the_server_with_all_waiting() -> None:
    """One connection, 20 ms an answer, 200 requests a second: each waits for all before it. A generator
    that measures from the moment of sending would say 20 ms of every one."""
    asker = Asker(0.02)
    pace = Pace(connections=1, warm_up_seconds=0, seconds=0.3, timeout_seconds=60, rate=200)
    tally = await Run(pace, [b"a"], shared(asker), seed=3).run()
    assert asker.most == 1
    assert 30 < tally.requests < 100
    assert tally.latency.max >= tally.requests * 0.02 - 0.3
    assert tally.lateness.max >= tally.latency.max - 0.02 - 0.3


async def test_an_open_loop_opens_connections_as_it_needs_them() -> None:
    asker = Asker(0.05)
    pace = Pace(connections=50, warm_up_seconds=0, seconds=60, timeout_seconds=60, rate=400, requests=60)
    tally = await Run(pace, [b"a"], shared(asker), seed=3).run()
    assert tally.succeeded == 60
    assert 1 < asker.most <= 50


async def test_who_waits_longer_than_an_answer_may_take_is_not_asked() -> None:
    asker = Asker(0.2)
    pace = Pace(connections=1, warm_up_seconds=0, seconds=60, timeout_seconds=0.1, rate=500, requests=20)
    tally = await Run(pace, [b"a"], shared(asker), seed=3).run()
    assert tally.requests == 20
    assert tally.errors["unsent"].count == 20 - len(asker.asked)
    assert len(asker.asked) < 20


async def test_stop_ends_it_early_and_what_was_asked_counts() -> None:
    for rate in (None, 200.0):
        asker = Asker(0.005)
        run = Run(Pace(2, 0, 600, 60, rate), [b"a"], shared(asker))
        running = asyncio.create_task(run.run())
        while run.tally.requests < 5:
            await asyncio.sleep(0.001)
        run.stop()
        tally = await running
        assert run.stopped
        assert tally.requests == len(asker.asked) >= 5


async def test_a_second_stop_waits_for_nobody() -> None:
    asker = Asker(600)
    run = Run(Pace(2, 0, 600, 600), [b"a"], shared(asker))
    running = asyncio.create_task(run.run())
    while asker.under_way < 2:
        await asyncio.sleep(0.001)
    run.stop()
    run.stop()
    tally = await running
    assert tally.requests == 0
    assert asker.closed == 2


async def test_a_platform_that_is_gone_is_not_asked_at_full_speed() -> None:
    asker = Asker(0, Lost("connect", "refused"))
    tally = await Run(Pace(1, 0, 0.25, 1), [b"a"], shared(asker)).run()
    assert 1 <= tally.failed <= 3
    assert tally.errors["connect"].count == tally.failed
