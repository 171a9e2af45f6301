"""What metrics of all services are made of."""

from __future__ import annotations

import collections
from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import Histogram, disable_created_metrics

# A second series for every counter, of the moment it was made, helps nobody and doubles each scrape.
disable_created_metrics()  # type: ignore[no-untyped-call]

# fmt: off
SECONDS_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)
# fmt: on


class QuickHistogram(Histogram):
    """Finds its bucket by bisection, and takes many observations at once."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """As `Histogram.observe`, but that examples are not kept; the labels' values must have been given."""
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)

    def observe_all(self, amounts: Sequence[float]) -> None:
        """As `observe` for each of them, at the price of few."""
        self._sum.inc(sum(amounts))
        bounds = self._upper_bounds
        for bucket, count in collections.Counter([bisect_left(bounds, each) for each in amounts]).items():
            self._buckets[bucket].inc(count)
