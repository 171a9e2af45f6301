"""Closed loop: so many callers, each asks again when its answer is in. Open loop: Poisson arrivals.

In the open loop a latency counts from the moment at which the request was to leave, whatever the server
and this program did meanwhile: a server that falls behind cannot slow its own load down ("coordinated
omission", Gil Tene). A request counts when it began after the warm-up; all that began are waited for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Protocol

from trireme_cli.loadtest.connection import Outcome
from trireme_cli.loadtest.tally import Lost, Tally

# Event loops keep time in milliseconds; the rest of a wait is slept in pieces this long.
_TICK_SECONDS, _NAP_SECONDS = 0.002, 0.0001
_RETRY_SECONDS = 0.1


class Asker(Protocol):
    """A way to ask one request at a time."""

    async def ask(self, request: bytes) -> Outcome: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Pace:
    """How much is asked. Without a `rate` (requests a second) the loop is closed."""

    connections: int
    """Callers of a closed loop, or the most connections of an open one."""
    warm_up_seconds: float
    seconds: float
    timeout_seconds: float
    rate: float | None = None
    requests: int | None = None
    """Most requests that count."""


class Run:
    """One load test. `stop` may be called at any time; a second call gives up what is under way."""

    def __init__(
        self, pace: Pace, requests: Sequence[bytes], connect: Callable[[], Asker], seed: int = 0
    ) -> None:
        self.tally = Tally()
        self._pace = pace
        self._requests = cycle(requests)
        self._connect = connect
        self._random = random.Random(seed)
        self._askers: list[Asker] = []
        self._left = pace.requests if pace.requests is not None else -1
        self._until = 0.0
        self._stopped = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> Tally:
        """Asks until the time is over, or so many requests were asked, or `stop`; then waits for answers."""
        now = time.perf_counter()
        self.tally.began = self.tally.ended = now + self._pace.warm_up_seconds
        self._until = self.tally.began + self._pace.seconds
        try:
            await (self._closed() if self._pace.rate is None else self._open(self._pace.rate))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for asker in self._askers:
                asker.close()
        return self.tally

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    def stop(self) -> None:
        """Asks nothing more; the second time, waits for nothing more either."""
        if self._stopped.is_set():
            for task in self._tasks:
                task.cancel()
        self._stopped.set()

    def _goes_on(self, at: float) -> bool:
        """Whether a request may leave at `at`; one that will count is counted off."""
        if self._stopped.is_set() or at >= self._until or self._left == 0:
            return False
        if at >= self.tally.began and self._left > 0:
            self._left -= 1
        return True

    async def _closed(self) -> None:
        for _ in range(self._pace.connections):
            self._start(self._caller(self._new_asker()))
        await self._finish()

    async def _caller(self, asker: Asker) -> None:
        while self._goes_on(began := time.perf_counter()):
            outcome = await self._ask(asker, began)
            if isinstance(outcome, Lost) and outcome.kind == "connect":
                await self._rest(_RETRY_SECONDS)  # nobody listens; asking at full speed would tell no more

    async def _open(self, rate: float) -> None:
        free: list[Asker] = []
        waiting: deque[float] = deque()
        at = time.perf_counter() + self._random.expovariate(rate)
        while at < self._until and await self._wait_until(at) and self._goes_on(at):
            if not free and len(self._askers) < self._pace.connections:
                free.append(self._new_asker())
            waiting.append(at)
            if free:
                self._start(self._serve(free.pop(), free, waiting))
            at += self._random.expovariate(rate)
        await self._finish()

    async def _serve(self, asker: Asker, free: list[Asker], waiting: deque[float]) -> None:
        """Asks for those who wait; who has waited as long as an answer may take is not asked any more."""
        while waiting:
            intended = waiting.popleft()
            late = time.perf_counter() - intended
            if late > self._pace.timeout_seconds:
                busy = f"all {self._pace.connections} connections were busy until the time-out"
                self._note(intended, 0, Lost("unsent", busy))
                continue
            if intended >= self.tally.began:
                self.tally.lateness.record(late)
            await self._ask(asker, intended)
        free.append(asker)

    async def _wait_until(self, at: float) -> bool:
        """False where `stop` came first."""
        while (wait := at - time.perf_counter()) > 0 and not self._stopped.is_set():
            if wait > _TICK_SECONDS:
                await self._rest(wait - _TICK_SECONDS / 2)
            else:
                time.sleep(min(wait, _NAP_SECONDS))  # noqa: ASYNC251 - a loop's own timer is ten times as coarse
                await asyncio.sleep(0)
        return not self._stopped.is_set()

    async def _ask(self, asker: Asker, intended: float) -> Outcome:
        request = next(self._requests)
        outcome = await asker.ask(request)
        self._note(intended, len(request), outcome)
        return outcome

    def _note(self, intended: float, sent: int, outcome: Outcome) -> None:
        if intended >= self.tally.began:
            self.tally.note(intended, time.perf_counter(), sent, outcome)

    def _new_asker(self) -> Asker:
        asker = self._connect()
        self._askers.append(asker)
        return asker

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _rest(self, seconds: float) -> None:
        """Sleeps, or until `stop`."""
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return
