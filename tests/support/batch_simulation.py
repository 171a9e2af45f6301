"""A server on a fake clock: requests come at random, or from callers who ask again once they are answered;
instances run what the queue hands out."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import cast

from trireme_inference.batch_policy import CloseReason, Policy
from trireme_inference.batch_queue import Batch, BatchQueue

Cost = Callable[[int, float], float]
"""Seconds of a run of so many rows that begins at that time."""


@dataclass(eq=False)
class Waiting:
    """A request as the queue sees it; it has gone at `left` or at its deadline."""

    rows: int = 1
    arrived: float = 0.0
    deadline: float = math.inf
    left: float = math.inf
    number: int = 0

    def gone(self, now: float) -> bool:
        return self.left <= now or self.deadline <= now


@dataclass
class Outcome:
    """What a simulation has seen; times are simulated seconds."""

    answered: list[tuple[float, float]] = field(default_factory=list)
    """Arrival and seconds to the answer of every request."""
    batches: list[tuple[float, int, CloseReason]] = field(default_factory=list)
    """Start, rows and reason of every run."""
    busy: float = 0.0

    def p99(self, since: float = 0.0, until: float = math.inf) -> float:
        seconds = sorted(taken for arrived, taken in self.answered if since <= arrived < until)
        return seconds[math.ceil(0.99 * len(seconds)) - 1]

    def mean(self, since: float = 0.0) -> float:
        seconds = [taken for arrived, taken in self.answered if since <= arrived]
        return sum(seconds) / len(seconds)

    def mean_rows(self, since: float = 0.0, until: float = math.inf) -> float:
        rows = [rows for begun, rows, _ in self.batches if since <= begun < until]
        return sum(rows) / len(rows)

    @property
    def seconds_per_row(self) -> float:
        return self.busy / len(self.answered)


class Simulation:
    """Requests of one row; costs vary by 5%; timers ring at whole milliseconds.

    `cost`: of every key, or one for each of them; every key is as frequent as the others.
    """

    def __init__(
        self,
        policy: Policy,
        cost: Cost | Sequence[Cost],
        *,
        instances: int = 1,
        keys: int = 1,
        seed: int = 1,
    ) -> None:
        self._policy = policy
        self._costs = [cost] * keys if callable(cost) else list(cost)
        self._idle = instances
        self._random = random.Random(seed)
        self._queue: BatchQueue[Waiting] = BatchQueue(policy)
        self._running: list[tuple[float, int, float, Batch[Waiting]]] = []
        self._coming: list[tuple[float, int, bool]] = []
        self._callers: set[Waiting] = set()
        self._numbers = count()
        self._outcome = Outcome()

    def run(self, rate: float, seconds: float) -> Outcome:
        """A Poisson process: everything that arrives in `seconds` is answered."""
        at = self._random.expovariate(rate)
        while at < seconds:
            self._come(at)
            at += self._random.expovariate(rate)
        self._live(lambda now: None)
        return self._outcome

    def run_callers(
        self, callers: int, seconds: float, *, pause: float = 0.0, visits: float = 0.0
    ) -> Outcome:
        """Each asks again `pause` seconds after its answer, until `seconds` have passed. They begin within
        the first 20 ms. Beside them come `visits` others a second, one request each."""
        at = self._random.expovariate(visits) if visits else math.inf
        while at < seconds:
            self._come(at)
            at += self._random.expovariate(visits)
        for _ in range(callers):
            self._come(self._random.uniform(0, 0.02), asks_again=True)
        self._live(lambda now: self._come(now + pause, asks_again=True) if now < seconds else None)
        return self._outcome

    def _come(self, at: float, *, asks_again: bool = False) -> None:
        heapq.heappush(self._coming, (at, next(self._numbers), asks_again))

    def _live(self, again: Callable[[float], None]) -> None:
        now = 0.0
        while self._coming or self._running or self._queue.present:
            now = min(self._coming[0][0] if self._coming else math.inf, self._next(now))
            while self._running and self._running[0][0] <= now:
                for request in self._finish(*heapq.heappop(self._running)):
                    if request in self._callers:
                        self._callers.remove(request)
                        again(now)
            while self._coming and self._coming[0][0] <= now:
                at, _, asks_again = heapq.heappop(self._coming)
                request = Waiting(arrived=at)
                if asks_again:
                    self._callers.add(request)
                self._queue.add(self._random.randrange(len(self._costs)), request)
            self._start(now)

    def _start(self, now: float) -> None:
        while self._idle and (batch := self._queue.take(now)) is not None:
            cost = self._costs[cast(int, batch.key)]
            taken = cost(batch.rows, now) * math.exp(self._random.gauss(0, 0.05))
            self._idle -= 1
            self._outcome.busy += taken
            self._outcome.batches.append((now, batch.rows, batch.reason))
            heapq.heappush(self._running, (now + taken, next(self._numbers), now, batch))

    def _next(self, now: float) -> float:
        ends = self._running[0][0] if self._running else math.inf
        due = self._queue.due(now) if self._idle else math.inf
        return min(ends, due if due == math.inf else now + max(1, math.ceil((due - now) * 1000)) / 1000)

    def _finish(self, ended: float, _: int, begun: float, batch: Batch[Waiting]) -> list[Waiting]:
        self._idle += 1
        self._policy.ran(batch.key, batch.rows, ended - begun)
        self._queue.finished(batch, ended)
        self._policy.answered(ended - batch.oldest, batch.reason)
        self._outcome.answered += [(request.arrived, ended - request.arrived) for request in batch.requests]
        return batch.requests
