"""Which sizes of batch are worth running, by what runs of one kind cost: samples in, sizes out.

    good    the sizes run so far whose rate n / c(n) is at least 95% of the best
    most    rows a batch takes: the largest good size with 2 C(n) <= L or, where there is none, the best
            size; an octave more while the largest size ever run is good, and half an octave more once in
            8 batches, so that a better size is found, also when the model has changed
    enough  rows at which a group waits for no more: the smallest good size, for more rows gain nothing,
            or the largest with 2 C(n) <= L where that is smaller: a request that just misses a run waits
            for its end, and then for its own

c(n) is the learnt cost of n rows, C(n) its bound (batch_costs.py), L the latency objective.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from trireme_inference.batch_costs import CostCurve

_GOOD_RATE = 0.95
_PROBE_EVERY = 8


class BatchSizes:
    """`most` and `enough` of one kind of rows, and the costs behind them."""

    def __init__(self, max_rows: int, objective_seconds: float, costs: CostCurve) -> None:
        self._max_rows, self._objective = max_rows, objective_seconds
        self.costs = costs
        self._runs = 0
        self.most, self.enough = self._sizes()

    def ran(self, rows: int, seconds: float) -> None:
        self.costs.ran(rows, seconds)
        self._runs += 1
        self.most, self.enough = self._sizes()

    def _sizes(self) -> tuple[int, int]:
        points = self.costs.points
        if not points:
            return 1, 1
        rates = [rows / seconds if seconds else math.inf for rows, seconds in points]
        least = _GOOD_RATE * max(rates)
        good = [math.ceil(rows) for (rows, _), rate in zip(points, rates, strict=True) if rate >= least]
        largest = math.ceil(points[-1][0])
        fitting = bisect_right(range(1, self._max_rows + 1), self._objective / 2, key=self.costs.bound)
        best = math.ceil(points[rates.index(max(rates))][0])
        most = max((size for size in good if size <= fitting), default=best)
        enough = good[0]
        if good[-1] == largest and (good[0] == largest or 2 * largest <= fitting):
            most = 2 * largest
            enough = most if good[0] == largest else enough
        enough = max(1, min(enough, fitting, most, self._max_rows))
        if self._runs % _PROBE_EVERY == _PROBE_EVERY - 1:
            most = _half_octave_above(most)
        return min(most, self._max_rows), enough


def _half_octave_above(rows: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, ..."""
    octave = 1 << (rows.bit_length() - 1)
    return 2 * octave if 2 * rows >= 3 * octave else max(rows + 1, octave * 3 // 2)
