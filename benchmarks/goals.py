"""The lines of performance.md that this benchmark measures, each with what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.figures import Spread
from benchmarks.memory import IDLE
from benchmarks.results import Results, WorkloadResult
from benchmarks.servers import (
    ANCHOR,
    CONSTANT,
    IN_PROCESS,
    MANY_MODELS,
    MANY_REPLICAS,
    MEMORY_HIT,
    ONE_MODEL,
    REDIS_HIT,
    SINGLE_FILE,
    TRIREME,
    UNCOALESCED,
)

_BUSIEST = 64
_RATE, _P50 = "requests_per_second", "p50_ms"


@dataclass(frozen=True)
class Goal:
    """`measure` gives None where a run did not measure it."""

    words: str
    bound: float
    measure: Callable[[Results], Spread | None]
    at_most: bool = False
    digits: int = 2

    def met(self, found: Spread) -> bool:
        return found.median <= self.bound if self.at_most else found.median >= self.bound


def _rates(workload: str, ours: str, theirs: str) -> Callable[[Results], Spread | None]:
    return _of(workload, lambda found: found.ratio(ours, theirs, _BUSIEST, _RATE))


def _of(name: str, measure: Callable[[WorkloadResult], Spread | None]) -> Callable[[Results], Spread | None]:
    def find(results: Results) -> Spread | None:
        return next((measure(found) for found in results.workloads if found.name == name), None)

    return find


def _cpu(found: WorkloadResult) -> Spread | None:
    server = found.servers.get(TRIREME)
    return server.spread(_BUSIEST, "cpu_us") if server and _BUSIEST in server.samples else None


def _hops_in_anchors(found: WorkloadResult) -> Spread | None:
    sides = [found.servers.get(name) for name in (TRIREME, IN_PROCESS, ANCHOR)]
    values = [side.values(1, _P50) for side in sides if side is not None and 1 in side.samples]
    if len(values) < len(sides):
        return None
    return Spread.of([(ours - alone) / anchor for ours, alone, anchor in zip(*values, strict=True)])


def _idle(results: Results) -> Spread | None:
    if results.memory is None or IDLE not in results.memory.readings:
        return None
    return Spread.of([sum(results.memory.readings[IDLE].values())])


def _start(results: Results) -> Spread | None:
    return Spread.of(results.start.seconds) if results.start is not None and results.start.seconds else None


_P1 = {
    "litserve": 6.0,
    "bentoml": 8.0,
    "mlserver": 5.0,
    "ray": 20.0,
    "pytriton": 2.0,
    SINGLE_FILE: 1.5,
    "mosec": 0.33,
}
"""Least requests a second of ours, in those of each server of the workload `peers`."""


GOALS = (
    *(
        Goal(f"P1: requests/s at 64 at least {bound:g} x {name}", bound, _rates("peers", TRIREME, name))
        for name, bound in _P1.items()
    ),
    Goal(
        "P1, this peer: trivial, requests/s at 64 at least 1.5 x single-file",
        1.5,
        _rates("trivial", TRIREME, SINGLE_FILE),
    ),
    Goal(
        "sentiment-zh, requests/s at 64 at least 1.0 x single-file",
        1.0,
        _rates("sentiment-zh", TRIREME, SINGLE_FILE),
    ),
    Goal(
        "P6, this peer: digits, requests/s at 64 at least 1.0 x single-file",
        1.0,
        _rates("digits", TRIREME, SINGLE_FILE),
    ),
    Goal("P2: trivial at 64, at most 160 us CPU a request", 160.0, _of("trivial", _cpu), True, 0),
    Goal(
        "P2 in anchors: trivial at 64, at most 6.4 x the anchor's CPU a request",
        6.4,
        _of("trivial", lambda found: found.ratio(TRIREME, ANCHOR, _BUSIEST, "cpu_us")),
        True,
    ),
    Goal(
        "P3: the hops add at most 1.2 ms to p50 at 1 connection",
        1.2,
        _of("trivial", lambda found: found.difference(TRIREME, IN_PROCESS, 1, _P50)),
        True,
    ),
    Goal(
        "P3 in anchors: the hops add at most 30 x the anchor's p50 at 1 connection",
        30.0,
        _of("trivial", _hops_in_anchors),
        True,
        1,
    ),
    Goal(
        "P4: coalescing on at least 2 x off, requests/s at 64",
        2.0,
        _rates("trivial", TRIREME, UNCOALESCED),
    ),
    Goal(
        "P4: coalescing on at most 1.05 x off, p50 at 1 connection",
        1.05,
        _of("trivial", lambda found: found.ratio(TRIREME, UNCOALESCED, 1, _P50)),
        True,
    ),
    Goal(
        "P7: hit in process at least 0.9 x a constant answer, requests/s at 64",
        0.9,
        _rates("cache", MEMORY_HIT, CONSTANT),
    ),
    Goal(
        "P7: hit in Redis at least 0.6 x a constant answer, requests/s at 64",
        0.6,
        _rates("cache", REDIS_HIT, CONSTANT),
    ),
    Goal(
        "P10: among 64 models at most 1.1 x one model's CPU a request at 64",
        1.1,
        _of("growth", lambda found: found.ratio(MANY_MODELS, ONE_MODEL, _BUSIEST, "cpu_us")),
        True,
    ),
    Goal(
        "P10: behind 8 replicas of inference at most 1.1 x one replica's CPU a request at 64",
        1.1,
        _of("growth", lambda found: found.ratio(MANY_REPLICAS, ONE_MODEL, _BUSIEST, "cpu_us")),
        True,
    ),
    Goal("P10: the gateway answers at most 1.5 s after its start", 1.5, _start, True),
    Goal("P9: idle platform at most 600 MB PSS", 600.0, _idle, True, 0),
)
