"""A closed loop of so many callers, or an open one: arrivals of a Poisson process, whatever the server does.

In the open loop a latency counts from the moment at which the request was to arrive, so that a server
that falls behind, and a generator that does, are charged with the waiting.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from benchmarks.figures import Sample, percentile
from benchmarks.load.doors import Way
from benchmarks.load.process_tree import read_cpu
from benchmarks.load.questions import Checker, Questions
from trireme_cli.loadtest.http import ProtocolError

SEED = 23
_LAST_ANSWERS_SECONDS = 60.0
_LEAD_SHARE = 0.25
_PATIENCE_SECONDS, _LOOK_SECONDS = 10.0, 0.05


@dataclass(frozen=True)
class Order:
    """What to measure. `rate` is in requests a second; without one, `callers` each ask in turn.

    `seed` draws the arrivals of an open loop: one seed and one rate are the same arrivals.
    """

    root: int
    callers: int
    warm_up_seconds: float
    seconds: float
    rate: float | None = None
    seed: int = SEED


class Load:
    """Asks, checks and keeps the latencies of the window."""

    def __init__(self, way: Way, questions: Questions) -> None:
        self._way = way
        self._requests = questions.requests
        self._checker = Checker(questions)
        self._numbers = cycle(range(len(questions.requests)))
        self._latencies: list[float] = []
        self._taken: list[float] = []
        self._answers = 0
        self._ending = False

    async def run(self, order: Order) -> Sample:
        """Raises WrongAnswerError, ProtocolError, ProcessesChangedError: the measurement is then void."""
        if order.rate is not None:
            await self._open(order.rate, order.warm_up_seconds, order.seed)
            with self._window(order) as window:
                await self._open(order.rate, order.seconds, order.seed)
            return window.sample(window.programs)
        await self._closed(order.callers, order.warm_up_seconds)
        return await self._measured(order)

    @property
    def latencies_ms(self) -> list[float]:
        """Of the window that was measured, in order of size."""
        return [round(1000 * seconds, 3) for seconds in sorted(self._taken)]

    async def _measured(self, order: Order) -> Sample:
        """CPU time counts from an idle server to an idle server, over all answers: a large batch that is
        half done at the end of the window would otherwise be charged to the others."""
        lead, began, before = order.seconds * _LEAD_SHARE, self._answers, read_cpu(order.root)
        most = lead + order.seconds + _PATIENCE_SECONDS
        with self._window(order) as window:
            closed = asyncio.create_task(self._closed(order.callers, most))
            await asyncio.wait({closed}, timeout=lead)
            window.restart()
            await asyncio.wait({closed}, timeout=order.seconds)
            # A slow server with large batches may have answered nobody yet.
            until = time.perf_counter() + _PATIENCE_SECONDS
            while len(window.latencies) < order.callers and time.perf_counter() < until and not closed.done():
                await asyncio.wait({closed}, timeout=_LOOK_SECONDS)
        self._ending = True
        await closed
        share = len(window.latencies) / max(1, self._answers - began)
        spent = before.until(read_cpu(order.root))
        return window.sample({program: seconds * share for program, seconds in spent.items()})

    async def _closed(self, callers: int, seconds: float) -> None:
        """So many callers who ask in turn, until the last has its answer."""
        until = time.perf_counter() + seconds

        async def caller() -> None:
            while not self._ending and (now := time.perf_counter()) < until:
                await self._one(now)

        async with asyncio.timeout(seconds + _LAST_ANSWERS_SECONDS), asyncio.TaskGroup() as group:
            for _ in range(callers):
                group.create_task(caller())

    @contextmanager
    def _window(self, order: Order) -> Iterator[_Window]:
        window = _Window(order.root)
        self._latencies = window.latencies
        yield window
        window.close()
        self._taken, self._latencies = window.latencies, []

    async def _one(self, began: float) -> None:
        number = next(self._numbers)
        body = await self._way.ask(self._requests[number])
        self._latencies.append(time.perf_counter() - began)
        self._answers += 1
        self._checker.check(number, body)

    async def _open(self, rate: float, seconds: float, seed: int) -> None:
        draw, began = random.Random(seed), time.perf_counter()
        async with asyncio.timeout(seconds + _LAST_ANSWERS_SECONDS), asyncio.TaskGroup() as group:
            at = draw.expovariate(rate)
            while at < seconds:
                if (wait := began + at - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                group.create_task(self._one(began + at))
                at += draw.expovariate(rate)


class _Window:
    """Answers from now until `close`, and the CPU time meanwhile."""

    def __init__(self, root: int) -> None:
        self.latencies: list[float] = []
        self.programs: dict[str, float] = {}
        """CPU seconds of each of the server's programs, when the window is closed."""
        self._root, self._server = root, read_cpu(root)
        self.restart()

    def restart(self) -> None:
        """Forgets what was answered so far."""
        self.latencies.clear()
        self._own, self._began = time.process_time(), time.perf_counter()

    def close(self) -> None:
        """Raises ProcessesChangedError."""
        self._seconds = time.perf_counter() - self._began
        self._generator = time.process_time() - self._own
        self.programs = self._server.until(read_cpu(self._root))

    def sample(self, programs: dict[str, float]) -> Sample:
        """Of a closed window. Raises ProtocolError where nothing was answered in it."""
        latencies = sorted(self.latencies)
        if not latencies:
            raise ProtocolError(f"no answer within {self._seconds:.1f} s")
        return Sample(
            requests=len(latencies),
            seconds=self._seconds,
            p50_ms=percentile(latencies, 0.50) * 1000,
            p99_ms=percentile(latencies, 0.99) * 1000,
            program_cpu_seconds=programs,
            generator_cpu_seconds=self._generator,
        )
