"""A server on a fake clock: requests arrive at random, instances run what the queue hands out."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

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

    def mean_rows(self, since: float = 0.0, until: float = math.inf) -> float:
        rows = [rows for begun, rows, _ in self.batches if since <= begun < until]
        return sum(rows) / len(rows)

    @property
    def seconds_per_row(self) -> float:
        return self.busy / len(self.answered)


class Simulation:
    """One-row requests arrive as a Poisson process; costs vary by 5%; timers ring at whole milliseconds."""

    def __init__(
        self, policy: Policy, cost: Cost, *, instances: int = 1, keys: int = 1, seed: int = 1
    ) -> None:
        self._policy = policy
        self._cost = cost
        self._idle = instances
        self._keys = keys
        self._random = random.Random(seed)
        self._queue: BatchQueue[Waiting] = BatchQueue(policy)
        self._running: list[tuple[float, int, float, Batch[Waiting]]] = []
        self._numbers = count()
        self._outcome = Outcome()

    def run(self, rate: float, seconds: float) -> Outcome:
        """Everything that arrives in `seconds` is answered."""
        now, arrived, following = 0.0, 0, self._random.expovariate(rate)
        while following < seconds or len(self._outcome.answered) < arrived:
            self._start(now)
            following = following if following < seconds else math.inf
            now = min(following, self._next(now))
            if now >= following:
                self._queue.add(self._random.randrange(self._keys), Waiting(arrived=following))
                arrived += 1
                following += self._random.expovariate(rate)
            while self._running and self._running[0][0] <= now:
                self._finish(*heapq.heappop(self._running))
        return self._outcome

    def _start(self, now: float) -> None:
        while self._idle and (batch := self._queue.take(now)) is not None:
            taken = self._cost(batch.rows, now) * math.exp(self._random.gauss(0, 0.05))
            self._idle -= 1
            self._outcome.busy += taken
            self._outcome.batches.append((now, batch.rows, batch.reason))
            heapq.heappush(self._running, (now + taken, next(self._numbers), now, batch))

    def _next(self, now: float) -> float:
        ends = self._running[0][0] if self._running else math.inf
        due = self._queue.due(now) if self._idle else math.inf
        return min(ends, due if due == math.inf else now + max(1, math.ceil((due - now) * 1000)) / 1000)

    def _finish(self, ended: float, _: int, begun: float, batch: Batch[Waiting]) -> None:
        self._idle += 1
        self._policy.ran(batch.rows, ended - begun)
        self._policy.answered(ended - batch.oldest, batch.reason)
        self._outcome.answered += [(request.arrived, ended - request.arrived) for request in batch.requests]
