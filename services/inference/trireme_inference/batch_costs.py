"""What a run costs by its number of rows, learnt from the runs: samples in, seconds out, no clock inside.

A curve is a list of points (rows, seconds), at most two an octave of rows (1, 2, 3-4 halved: 3 and 4,
5-6, 7-8, 9-12, 13-16, ...). A sample (n, x) moves the point of its range, both coordinates,

    point += A * (min(x, 2 * point) - point)          A = 1/5: a half-life of 3 runs of that size

where one outlier counts as twice the usual cost at most. What a sample says of all sizes (the device is
shared, throttled, or free again) moves every other point by a part of the same ratio,

    other *= 1 + G * (min(x / c(n), 2) - 1)           G = 3/20, three quarters of A

so sizes that have not been run for long follow too. More rows never cost less: after a sample at n, larger
sizes cost at least, and smaller ones at most, what n costs now (the newest sample wins, so what is old is
forgotten). Between points c is linear; below the first it is flat; above the last it is
proportional, which is too much wherever a run has a fixed cost, and so the safe side; `hoped` is the other.

`bound` is for promises: c(n) * (1 + 4 * d), d being the mean relative deviation of samples from c,
as TCP bounds its round-trip time by mean + 4 mean deviations (RFC 6298; V. Jacobson, "Congestion
Avoidance and Control", SIGCOMM 1988).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

_OWN_WEIGHT = 0.2
_COMMON_WEIGHT = 0.15
_DEVIATION_WEIGHT = 0.125
_DEVIATIONS = 4.0
_FIRST_DEVIATION = 0.25
_LARGEST_RATIO = 2.0


class CostCurve:
    """Seconds of one run by rows. A curve that has seen nothing says 0 for every size."""

    def __init__(self, measured: Mapping[int, float] | None = None) -> None:
        """`measured`: rows to seconds, from runs made at load; the curve goes on from there."""
        self._ranges: list[int] = []
        self._rows: list[float] = []
        self._seconds: list[float] = []
        self._deviation = _FIRST_DEVIATION
        for rows, seconds in sorted((measured or {}).items()):
            self._place(bisect_left(self._ranges, _range(rows)), rows, seconds)

    @property
    def points(self) -> list[tuple[float, float]]:
        """(rows, seconds), both ascending."""
        return list(zip(self._rows, self._seconds, strict=True))

    def seconds(self, rows: float) -> float:
        """Expected seconds of a run of `rows` rows."""
        known, costs = self._rows, self._seconds
        if not known:
            return 0.0
        above = bisect_left(known, rows)
        if above == 0:
            return costs[0]
        low, cost = known[above - 1], costs[above - 1]
        if above == len(known):
            return cost * rows / low
        return cost + (costs[above] - cost) * (rows - low) / (known[above] - low)

    def hoped(self, rows: float) -> float:
        """As `seconds`, but above the last point along the line from the first one through it: what larger
        runs cost if they go on as those that were seen."""
        if len(self._rows) < 2 or rows <= self._rows[-1]:
            return self.seconds(rows)
        slope = (self._seconds[-1] - self._seconds[0]) / (self._rows[-1] - self._rows[0])
        return self._seconds[-1] + slope * (rows - self._rows[-1])

    def bound(self, rows: float) -> float:
        """Seconds that a run of `rows` rows seldom exceeds."""
        return self.seconds(rows) * (1 + _DEVIATIONS * self._deviation)

    def ran(self, rows: int, seconds: float) -> None:
        """Learns from one run."""
        expected = self.seconds(rows)
        number = _range(rows)
        at = bisect_left(self._ranges, number)
        if expected <= 0:
            self._place(at, rows, seconds)
            return
        ratio = min(seconds / expected, _LARGEST_RATIO)
        self._deviation += _DEVIATION_WEIGHT * (abs(ratio - 1) - self._deviation)
        common = 1 + _COMMON_WEIGHT * (ratio - 1)
        known = at < len(self._ranges) and self._ranges[at] == number
        own = self._seconds[at] if known else 0.0
        self._seconds = [cost * common for cost in self._seconds]
        if known:
            self._rows[at] += _OWN_WEIGHT * (rows - self._rows[at])
            self._seconds[at] = own + _OWN_WEIGHT * (min(seconds, _LARGEST_RATIO * own) - own)
            self._keep_monotone(at)
        else:
            self._place(at, rows, min(seconds, _LARGEST_RATIO * expected))

    def _place(self, at: int, rows: int, seconds: float) -> None:
        number = _range(rows)
        if self._ranges[at : at + 1] == [number]:
            self._rows[at], self._seconds[at] = rows, seconds
        else:
            self._ranges.insert(at, number)
            self._rows.insert(at, rows)
            self._seconds.insert(at, seconds)
        self._keep_monotone(at)

    def _keep_monotone(self, at: int) -> None:
        costs, cost = self._seconds, self._seconds[at]
        for below in range(at - 1, -1, -1):
            if costs[below] <= cost:
                break
            costs[below] = cost
        for above in range(at + 1, len(costs)):
            if costs[above] >= cost:
                break
            costs[above] = cost


def _range(rows: int) -> int:
    """Number of the half octave that holds `rows`: 1, 2, 3, 4, 5-6, 7-8, 9-12, 13-16, ..."""
    octave = (rows - 1).bit_length()
    return 2 * octave + (octave > 1 and (rows - 1) >> (octave - 2) & 1)
