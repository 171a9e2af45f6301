"""Closes batches so that a latency objective holds: the algorithm alone, samples in, plans out, no clock.

L is the objective for a request's time in this service, arrival to answer; K the instances; c(g) the
learnt cost of a run of g rows, C(g) its bound (batch_costs.py), `most` and `enough` the sizes that follow
(batch_sizes.py), all of them for each kind of rows apart, those of equal key; r the rate at which rows
arrive, r(n) the rate while n requests are present, as many as are now (arrivals.py); p the kind's part of
the last rows that ran, some 256. A group of g rows is closed with the reason

    GOAL       (FULL where that is the maximum) as soon as it has `enough` rows;
    OBJECTIVE  when its oldest member has waited for company as long as it may while an instance is idle:
               (h L - R) * min(1, r c(1) / K), where R = max(C(g), all groups' C / K) is the time it takes
               to run what waits, and c(1) the mean over the kinds;
    IDLE       when an instance comes free and waiting does not pay: where in that time less than one row
               of the kind is expected, m = p r(n) times it, or where rows would not be cheaper by a fifth
               for those, c(g + m) / (g + m) > 4/5 c(g) / g: an error of the costs is far smaller. What
               larger runs cost than any so far is taken as hoped for, so that it comes to be known;
    DEADLINE   when its most urgent member would otherwise miss its own deadline.

Of several instances one that comes free takes its share of the group (sharing.py), `enough` rows at least.

Regimes. Quiet (r c(1) << K: the device would keep up with every row alone): no wait, the least latency. Busy:
the closer the device comes to being needed all the time, the more of the slack is spent on company,
which makes rows cheaper and the device free; not where a row costs the same alone, nor where all who ask
are here already. Saturated: whenever an instance comes free somebody waits, batches grow up to `most`.
Overloaded: the objective cannot hold; `most` is the size that works the queue off fastest. A model that is
slower than the objective even alone never waits.

h is the share of the objective that is planned with. It follows the 99th percentile by the stochastic
approximation of a quantile (H. Robbins, S. Monro, "A Stochastic Approximation Method", 1951): of the
batches that were closed by their wait, one that misses the objective takes 0.02 from it, one that
holds it adds 0.02 / 99; so what no cost shows (a busy event loop, coarse timers) is planned for, too.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping

from trireme_inference.arrivals import Arrivals
from trireme_inference.batch_costs import CostCurve
from trireme_inference.batch_policy import MARGIN_SECONDS, CloseReason, Load, Plan
from trireme_inference.batch_sizes import BatchSizes
from trireme_inference.sharing import share_of

_WORTH = 0.2
_RATE_OBJECTIVES = 10.0
_MISSED = 0.01
_STEP = 0.02
_FIRST_SHARE = 0.9
_LARGEST_SHARE = 0.95
_MIX_ROWS = 256.0
_MOST_KINDS = 64


class _Kind:
    """The Plan for the groups of one key."""

    preferred_rows: tuple[int, ...] = ()

    def __init__(self, policy: AdaptivePolicy, sizes: BatchSizes) -> None:
        self._policy = policy
        self.sizes, self.costs = sizes, sizes.costs
        self._mass, self._at = 0.0, 0

    @property
    def most_rows(self) -> int:
        return self.sizes.most

    @property
    def enough_rows(self) -> int:
        return self.sizes.enough

    @property
    def full(self) -> CloseReason:
        return CloseReason.FULL if self.sizes.enough == self._policy.max_rows else CloseReason.GOAL

    def bound(self, rows: int) -> float:
        return self.costs.bound(min(rows, self.sizes.most))

    def most_of(self, rows: int, reason: CloseReason) -> int:
        instances, most = self._policy.instances, self.sizes.most
        if instances == 1 or reason not in (CloseReason.IDLE, CloseReason.GOAL):
            return most
        return max(share_of(rows, most, instances, self.costs), self.sizes.enough)

    def due(self, oldest: float, urgent: float, rows: int) -> tuple[float, CloseReason]:
        policy, run = self._policy, self.bound(rows)
        wait = (policy.planned_seconds - max(run, policy.backlog_seconds)) * policy.eagerness
        company = wait * policy.rate_beside * self._part(policy.rows_run)
        if company < 1 or not self._pays(rows, rows + company):
            return oldest, CloseReason.IDLE
        by_deadline = urgent - run - MARGIN_SECONDS
        if by_deadline < oldest + wait:
            return by_deadline, CloseReason.DEADLINE
        return oldest + wait, CloseReason.OBJECTIVE

    def count(self, rows: int, rows_run: int) -> None:
        """So many of the rows that ran until now were of this kind just now."""
        share = math.exp(-rows / _MIX_ROWS)
        self._mass *= math.exp((self._at + rows - rows_run) / _MIX_ROWS)
        self._mass = self._mass * share + 1 - share
        self._at = rows_run

    def _part(self, rows_run: int) -> float:
        """p, 1 before anything ran."""
        if not rows_run:
            return 1.0
        return self._mass * math.exp((self._at - rows_run) / _MIX_ROWS) / -math.expm1(-rows_run / _MIX_ROWS)

    def _pays(self, rows: int, together: float) -> bool:
        together = min(together, max(rows, self.sizes.most))
        return self.costs.hoped(together) * rows <= (1 - _WORTH) * self.costs.seconds(rows) * together


class AdaptivePolicy:
    """A Policy (batch_policy.py) for an objective in seconds.

    `measured`: rows to seconds, from runs made at load; what every kind's costs go on from.
    """

    def __init__(
        self,
        max_rows: int,
        objective_seconds: float,
        *,
        instances: int = 1,
        measured: Mapping[int, float] | None = None,
    ) -> None:
        self._max_rows = max_rows
        self._objective = objective_seconds
        self.instances = instances
        self._measured = measured
        self._arrivals = Arrivals(_RATE_OBJECTIVES * objective_seconds)
        self._kinds: dict[Hashable, _Kind] = {}
        self._unknown = self._new_kind()
        self._alone = self._unknown.costs.seconds(1)
        self._share = _FIRST_SHARE
        self.rows_run = 0
        self._load: Load | None = None
        self._backlog: float | None = 0.0
        self.eagerness = 0.0
        """min(1, r c(1) / K)."""
        self.rate_beside = 0.0
        """r(n)."""

    @property
    def max_rows(self) -> int:
        return self._max_rows

    @property
    def planned_seconds(self) -> float:
        """h L."""
        return self._share * self._objective

    @property
    def backlog_seconds(self) -> float:
        """Bound of the time in which the instances run everything that waits."""
        if self._backlog is None:  # seldom asked for: it costs O(groups)
            waiting = self._load.waiting() if self._load is not None else ()
            self._backlog = sum([self._kind(key).bound(rows) for key, rows in waiting]) / self.instances
        return self._backlog

    def costs_of(self, key: Hashable) -> CostCurve:
        """What is known of the runs of a kind."""
        return self._kind(key).costs

    def seen(self, now: float, load: Load) -> None:
        arrivals = self._arrivals
        arrivals.seen(now, load.arrived, load.present)
        self.rate_beside = arrivals.rate_beside()
        self.eagerness = min(1.0, arrivals.rate * self._alone / self.instances)
        self._load, self._backlog = load, None

    def plan(self, key: Hashable) -> Plan:
        return self._kind(key)

    def ran(self, key: Hashable, rows: int, seconds: float) -> None:
        kind = self._kinds.pop(key, None) or self._new_kind()
        self._kinds[key] = kind  # the last: those that ran longest ago are forgotten first
        if len(self._kinds) > _MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        kind.sizes.ran(rows, seconds)
        self.rows_run += rows
        kind.count(rows, self.rows_run)
        weight = -math.expm1(-rows / _MIX_ROWS) if self._alone else 1.0
        self._alone += weight * (kind.costs.seconds(1) - self._alone)

    def answered(self, total_seconds: float, reason: CloseReason) -> None:
        if reason is CloseReason.OBJECTIVE:
            missed = total_seconds > self._objective
            self._share += _STEP * (_MISSED - 1 if missed else _MISSED / (1 - _MISSED))
            self._share = min(_LARGEST_SHARE, max(0.0, self._share))

    def _kind(self, key: Hashable) -> _Kind:
        return self._kinds.get(key, self._unknown)

    def _new_kind(self) -> _Kind:
        return _Kind(self, BatchSizes(self._max_rows, self._objective, CostCurve(self._measured)))
