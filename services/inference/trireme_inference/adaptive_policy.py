"""Closes batches so that a latency objective holds: the algorithm alone, samples in, plans out, no clock.

L is the objective for a request's time in this service, arrival to answer; K the instances; c(n) the
learnt cost of a run of n rows and C(n) its bound (batch_costs.py); r the rate at which rows arrive, an
average over 10 L. Every moment has a plan:

    good     the sizes run so far whose rate n / c(n) is at least 95% of the best
    most     rows a batch takes: the largest good size with 2 C(n) <= L or, where there is none, the best
             size; an octave more while the largest size ever run is good, and half an octave more once
             in 32 batches, so that a better size is found, also when the model has changed
    enough   rows at which a group waits for no more: the smallest good size, for more rows gain nothing,
             or the largest with 2 C(n) <= L where that is smaller: a request that just misses a run
             waits for its end, and then for its own
    wait     how long the oldest of a group waits for company while an instance is idle:
             (h L - R) * min(1, r c(1) / K), where R = max(C(group), all groups' C / K) is the time it
             takes to run what waits; 0 where fewer than one row is expected in that time

and so a group is closed with the reason

    GOAL       (FULL where that is the maximum) as soon as it has `enough` rows;
    OBJECTIVE  when its oldest member has had its wait, and a run still fits into the objective;
    IDLE       when an instance comes free and nobody is worth waiting for;
    DEADLINE   when its most urgent member would otherwise miss its own deadline.

Of several instances one that comes free takes its share of the group (sharing.py), `enough` rows at least.

Regimes. Quiet (r c(1) << K: the device would keep up with every row alone): no wait, the least latency. Busy:
the closer the device comes to being needed all the time, the more of the slack is spent on company,
which makes rows cheaper and the device free. Saturated: whenever an instance comes free somebody
waits, batches grow up to `most`. Overloaded: the objective cannot hold; `most` is the size that works
the queue off fastest. A model that is slower than the objective even alone never waits.

h is the share of the objective that is planned with. It follows the 99th percentile by the stochastic
approximation of a quantile (H. Robbins, S. Monro, "A Stochastic Approximation Method", 1951): of the
batches that were closed by their wait, one that misses the objective takes 0.02 from it, one that
holds it adds 0.02 / 99; so what no cost shows (a busy event loop, coarse timers) is planned for, too.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from trireme_inference.batch_costs import CostCurve
from trireme_inference.batch_policy import MARGIN_SECONDS, CloseReason, Load, Plan
from trireme_inference.sharing import share_of

_GOOD_RATE = 0.95
_PROBE_EVERY = 32
_RATE_OBJECTIVES = 10.0
_MISSED = 0.01
_STEP = 0.02
_FIRST_SHARE = 0.9
_LARGEST_SHARE = 0.95


@dataclass(frozen=True, slots=True)
class _Moment:
    """The plan of one moment."""

    policy: AdaptivePolicy
    most_rows: int
    enough_rows: int
    full: CloseReason
    backlog_seconds: float
    """Bound of the time in which the instances run everything that waits."""
    eagerness: float
    """min(1, r c(1) / K)."""
    rate: float
    preferred_rows: tuple[int, ...] = ()

    def most_of(self, rows: int, reason: CloseReason) -> int:
        policy = self.policy
        if policy.instances == 1 or reason not in (CloseReason.IDLE, CloseReason.GOAL):
            return self.most_rows
        part = share_of(rows, self.most_rows, policy.instances, policy.costs)
        return max(part, self.enough_rows)

    def due(self, oldest: float, urgent: float, rows: int) -> tuple[float, CloseReason]:
        run = self.policy.costs.bound(min(rows, self.most_rows))
        wait = (self.policy.planned_seconds - max(run, self.backlog_seconds)) * self.eagerness
        if wait * self.rate < 1:
            return oldest, CloseReason.IDLE
        by_deadline = urgent - run - MARGIN_SECONDS
        if by_deadline < oldest + wait:
            return by_deadline, CloseReason.DEADLINE
        return oldest + wait, CloseReason.OBJECTIVE


class AdaptivePolicy:
    """A Policy (batch_policy.py) for an objective in seconds. `costs` may come with measured sizes."""

    def __init__(
        self,
        max_rows: int,
        objective_seconds: float,
        *,
        instances: int = 1,
        costs: CostCurve | None = None,
    ) -> None:
        self._max_rows = max_rows
        self._objective = objective_seconds
        self.instances = instances
        self.costs = costs or CostCurve()
        self._share = _FIRST_SHARE
        self._runs = 0
        self._rate = 0.0
        self._seen = 0
        self._seen_at = -math.inf
        self._most, self._enough = self._sizes()

    @property
    def max_rows(self) -> int:
        return self._max_rows

    @property
    def planned_seconds(self) -> float:
        """h L."""
        return self._share * self._objective

    def plan(self, now: float, load: Load) -> Plan:
        self._count(now, load.arrived)
        most = self._most
        bounds = [self.costs.bound(min(rows, most)) for rows in load.waiting()]
        return _Moment(
            self,
            most,
            self._enough,
            CloseReason.FULL if self._enough == self._max_rows else CloseReason.GOAL,
            sum(bounds) / self.instances,
            min(1.0, self._rate * self.costs.seconds(1) / self.instances),
            self._rate,
        )

    def ran(self, rows: int, seconds: float) -> None:
        self.costs.ran(rows, seconds)
        self._runs += 1
        self._most, self._enough = self._sizes()

    def answered(self, total_seconds: float, reason: CloseReason) -> None:
        if reason is CloseReason.OBJECTIVE:
            missed = total_seconds > self._objective
            self._share += _STEP * (_MISSED - 1 if missed else _MISSED / (1 - _MISSED))
            self._share = min(_LARGEST_SHARE, max(0.0, self._share))

    def _count(self, now: float, arrived: int) -> None:
        elapsed = now - self._seen_at
        if elapsed <= 0:
            return
        if math.isfinite(elapsed):
            weight = -math.expm1(-elapsed / (_RATE_OBJECTIVES * self._objective))
            self._rate += weight * ((arrived - self._seen) / elapsed - self._rate)
        self._seen, self._seen_at = arrived, now

    def _sizes(self) -> tuple[int, int]:
        """`most` and `enough`."""
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
        if self._runs % _PROBE_EVERY == _PROBE_EVERY - 1:
            most, enough = _half_octave_above(most), _half_octave_above(enough)
        most = min(most, self._max_rows)
        return most, max(1, min(enough, fitting, most))


def _half_octave_above(rows: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, ..."""
    octave = 1 << (rows.bit_length() - 1)
    return 2 * octave if 2 * rows >= 3 * octave else max(rows + 1, octave * 3 // 2)
