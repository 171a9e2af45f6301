"""Two models, one load: timed in turns, so that whatever else the machine does meets both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Run = Callable[[], object]
Clock = Callable[[], float]

_WARMUP_RUNS = 3


@dataclass(frozen=True)
class Speed:
    """Medians in seconds a run. `ratio` is the median of original / variant over the rounds, `low` the
    smallest of them: above 1, the variant was the faster one in every round. Of seven rounds that happens to
    a variant that is no faster once in 128 times; a quartile let too many of those through."""

    batch: int
    original_seconds: float
    variant_seconds: float
    ratio: float
    low: float


def compare(
    original: Run,
    variant: Run,
    *,
    batch: int,
    rounds: int,
    leg_seconds: float,
    clock: Clock = time.perf_counter,
) -> Speed:
    """A B A B ...: `rounds` legs of each, in turn, each of as many runs as fill `leg_seconds`."""
    runs = {name: _runs(run, leg_seconds, clock) for name, run in (("a", original), ("b", variant))}
    a: list[float] = []
    b: list[float] = []
    for _ in range(rounds):
        a.append(_leg(original, runs["a"], clock))
        b.append(_leg(variant, runs["b"], clock))
    ratios = sorted(x / y for x, y in zip(a, b, strict=True))
    return Speed(batch, statistics.median(a), statistics.median(b), statistics.median(ratios), ratios[0])


def _runs(run: Run, leg_seconds: float, clock: Clock) -> int:
    for _ in range(_WARMUP_RUNS):
        run()
    return max(1, int(leg_seconds / max(_leg(run, 1, clock), 1e-6)))


def _leg(run: Run, runs: int, clock: Clock) -> float:
    start = clock()
    for _ in range(runs):
        run()
    return max((clock() - start) / runs, 1e-9)
