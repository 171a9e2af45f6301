"""Latencies of any number of requests in little memory.

Buckets grow by 1% each, as HdrHistogram's grow by a fixed share: a percentile is off by half a percent at
most, whatever its size, and an hour in microseconds needs about 2,200 of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

_GROWTH = math.log(1.01)
_LEAST_SECONDS = 1e-6


class Histogram:
    """Counts of durations in seconds, at least one microsecond each."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.min = math.inf
        self.max = 0.0
        self._buckets: dict[int, int] = {}

    def record(self, seconds: float) -> None:
        """Adds one duration; one that is shorter than a microsecond counts as that."""
        seconds = max(seconds, _LEAST_SECONDS)
        bucket = int(math.log(seconds / _LEAST_SECONDS) / _GROWTH)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.sum += seconds
        self.min = min(self.min, seconds)
        self.max = max(self.max, seconds)

    def merge(self, other: Histogram) -> None:
        """Adds what `other` counted."""
        for bucket, count in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count
        self.sum += other.sum
        self.min = min(self.min, other.min)
        self.max = max(self.max, other.max)

    @property
    def mean(self) -> float:
        """NaN of nothing."""
        return self.sum / self.count if self.count else math.nan

    def percentile(self, share: float) -> float:
        """Seconds that at least `share` (0 to 1) of the durations do not exceed; NaN of nothing."""
        if not self.count:
            return math.nan
        wanted, seen = max(1, math.ceil(self.count * share)), 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return self._value(bucket)
        return self.max

    def buckets(self) -> Iterator[tuple[float, int]]:
        """Seconds and count of each bucket that holds any, from the shortest on."""
        for bucket in sorted(self._buckets):
            yield self._value(bucket), self._buckets[bucket]

    def _value(self, bucket: int) -> float:
        """The bucket's middle; never outside of what was recorded."""
        middle = _LEAST_SECONDS * math.exp((bucket + 0.5) * _GROWTH)
        return min(max(middle, self.min), self.max)
