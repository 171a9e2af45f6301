"""What the cache did for each model, under Triton's names, summed over the workers of this gateway.

Triton's counters carry no `_total`, which this client library would add, so they are gauges that only grow;
in the mode `sum`, so that a worker's counts outlive it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import Gauge

from trireme_gateway.metrics import samples
from trireme_gateway.statistics.model_statistics import CacheCounts, Duration

_LABELS = ["model", "version"]


def _count(name: str, told: str) -> Gauge:
    return Gauge(name, told, _LABELS, multiprocess_mode="sum")


HITS = _count("nv_cache_num_hits_per_model", "Items that were answered without a computation of their own.")
MISSES = _count("nv_cache_num_misses_per_model", "Items that were looked up and had to be computed.")
HIT_US = _count(
    "nv_cache_hit_duration_per_model",
    "Microseconds of the look-ups that hit, waiting for another's computation included.",
)
MISS_US = _count(
    "nv_cache_miss_duration_per_model",
    "Microseconds of the look-ups that missed, without the computation.",
)
_GAUGES = (HITS, HIT_US, MISSES, MISS_US)
_NAMES = (
    "nv_cache_num_hits_per_model",
    "nv_cache_hit_duration_per_model",
    "nv_cache_num_misses_per_model",
    "nv_cache_miss_duration_per_model",
)


class _Series(NamedTuple):
    """Those of one version, found once."""

    hits: Gauge
    hit_us: Gauge
    misses: Gauge
    miss_us: Gauge


@dataclass(slots=True)
class _Waiting:
    """What one turn of the event loop counted for one version."""

    hits: int = 0
    misses: int = 0
    hit_seconds: float = 0.0
    miss_seconds: float = 0.0


class ModelCacheCounts:
    """Counts look-ups on one event loop. What comes in one turn of it is written in the next, together:
    finding and locking a series for each would cost more than the look-up does."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], _Waiting] = {}
        self._series: dict[tuple[str, str], _Series] = {}

    def looked_up(self, model: str, version: str, hits: int, misses: int, seconds: float) -> None:
        """One request's items; `seconds` without what their computation took."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._fold)
        waiting = self._waiting.get((model, version))
        if waiting is None:
            waiting = self._waiting[model, version] = _Waiting()
        waiting.hits += hits
        if misses:
            waiting.misses += misses
            part = seconds * misses / (hits + misses)
            waiting.miss_seconds += part
            seconds -= part
        waiting.hit_seconds += seconds

    def _fold(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for labels, counts in waiting.items():
            series = self._series.get(labels)
            if series is None:
                series = self._series[labels] = _Series(*(each.labels(*labels) for each in _GAUGES))
            if counts.hits:
                series.hits.inc(counts.hits)
                series.hit_us.inc(counts.hit_seconds * 1e6)
            if counts.misses:
                series.misses.inc(counts.misses)
                series.miss_us.inc(counts.miss_seconds * 1e6)


def cache_totals() -> Mapping[tuple[str, str], CacheCounts]:
    """What all workers counted, by model and version."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for sample in samples(_NAMES):
        key = sample.labels["model"], sample.labels["version"]
        found.setdefault(key, {})[sample.name] = sample.value
    return {key: _counts(values) for key, values in found.items()}


def _counts(values: Mapping[str, float]) -> CacheCounts:
    hits, hit_us, misses, miss_us = (values.get(name, 0.0) for name in _NAMES)
    return CacheCounts(Duration(int(hits), int(hit_us * 1e3)), Duration(int(misses), int(miss_us * 1e3)))
