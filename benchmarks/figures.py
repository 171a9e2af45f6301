"""Samples and what is said of several: medians with their range, never a mean of ratios."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Sample:
    """One window of load on one server."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    program_cpu_seconds: dict[str, float]
    """Of each of the server's programs, its processes added up."""
    generator_cpu_seconds: float
    timings_ms: dict[str, float] = field(default_factory=dict)
    """Medians of the parts of `server-timing`; only of one connection, and of servers that say it."""

    @property
    def requests_per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of all the server's processes together for one request."""
        return sum(self.program_cpu_seconds.values()) / self.requests * 1e6

    def program_cpu_us(self, program: str) -> float:
        """CPU microseconds of one of the server's programs for one request."""
        return self.program_cpu_seconds[program] / self.requests * 1e6

    @property
    def generator_load(self) -> float:
        """Share of one core that the load generator took; near 1 it was the limit, not the server."""
        return self.generator_cpu_seconds / self.seconds


@dataclass(frozen=True)
class Spread:
    """Median of the rounds with the lowest and the highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises ValueError for no values."""
        if not values:
            raise ValueError("no rounds")
        return cls(median(values), min(values), max(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Median and range of ours / theirs, round by round: both of a round met the same machine.

    Raises ValueError where the rounds are not the same number.
    """
    return Spread.of([mine / other for mine, other in zip(ours, theirs, strict=True)])


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Median and range of ours - theirs, round by round. Raises ValueError as `ratio` does."""
    return Spread.of([mine - other for mine, other in zip(ours, theirs, strict=True)])


def percentile(ordered: Sequence[float], share: float) -> float:
    """Smallest value that at least `share` (0 to 1) of the sorted, non-empty values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def cores() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0))
