"""What a model's batch curve says of how to run it: the decision alone, from numbers that were measured.

A curve gives the seconds of one run for 1, 2, 4, ... rows. On a GPU a row costs less the more rows run
with it; on a CPU it often costs more, because what the layers hand on no longer fits the caches: a
convolutional network of 224 x 224 pictures took 1.4 times the CPU a row at 32 rows that it took at 4.

The largest batch. c(b) = (seconds(b) + o) / b is the cost of a row, o being what a run costs around the
model: putting the batch together, messages, waking threads. Of the sizes whose c is within 3% of the
least the smallest is taken: a larger one answers no more rows a second, and its first row waits for its
last. So a tiny model gets large batches, and one whose rows cost the same alone gets none.

Threads a run. T threads may serve T runs of one thread side by side, or one run of T threads. Side by
side costs no waiting of threads for each other; together the single request is answered sooner. With
c1 and cT the least costs of a row on both, side by side answers T / c1 rows a second and together
1 / cT. Together is taken only where it keeps 95% of that rate. A model whose row takes less than a
millisecond gets one run of one thread: there the work around the model decides, and that is done once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Curve = Mapping[int, float]
"""Rows of a run to its seconds; empty where nothing was measured."""

DEFAULT_MOST_ROWS = 32
DEFAULT_MOST_ROWS_GPU = 128
PARALLEL_MATTERS_SECONDS = 0.001
"""A model whose single row runs shorter needs no runs side by side."""
THREADS_MATTER_SECONDS = 0.005
"""A model whose single row runs shorter is not worth trying on more threads."""
_AROUND_SECONDS = 0.00025
"""o above, as measured: a tiny model took 276 us of CPU a row in batches of 1 and 37 us in batches of 32
(docs/adr/0015: one instance, 64 callers; two shared cores of AMD EPYC, 2026-11-21)."""
_EQUALLY_GOOD = 1.03
_KEPT_RATE = 0.95


@dataclass(frozen=True)
class Plan:
    """How a model version is run."""

    max_rows: int
    """Most rows of a run."""
    runs: int = 1
    """Runs side by side."""
    threads: int = 1
    """CPU threads of a run."""
    curve: Curve = field(default_factory=dict)
    """What was measured, with these threads."""


@dataclass(frozen=True)
class Wishes:
    """What model.yaml fixes; None where the measurement may decide."""

    max_rows: int | None = None
    runs: int | None = None


def first_plan(wishes: Wishes, *, threads: int, gpu: bool) -> Plan:
    """How the model is opened to be measured. `threads`: those of all its runs together."""
    most = wishes.max_rows or (DEFAULT_MOST_ROWS_GPU if gpu else DEFAULT_MOST_ROWS)
    if wishes.runs is not None:
        return Plan(most, wishes.runs, max(1, threads // wishes.runs))
    # The host's part of a run on a GPU is short, and a second run would wait for the same device.
    return Plan(most, 1, threads if gpu else 1)


def alternative(wishes: Wishes, measured: Plan, *, threads: int, gpu: bool) -> Plan | None:
    """One run of all threads, where that is worth measuring too."""
    if gpu or wishes.runs is not None or threads == 1:
        return None
    slow = measured.curve.get(1, 0.0) >= THREADS_MATTER_SECONDS
    return Plan(measured.max_rows, 1, threads) if slow else None


def choose(wishes: Wishes, measured: Plan, together: Plan | None = None, *, threads: int, gpu: bool) -> Plan:
    """The plan to serve with. `measured` and `together`, the alternative, carry their curves; a plan that
    could not be measured is kept as it is."""
    plan = measured
    if not plan.curve:
        return plan
    if wishes.runs is None and not gpu and plan.curve.get(1, 0.0) >= PARALLEL_MATTERS_SECONDS:
        plan = replace(plan, runs=threads)
        if together is not None and together.curve:
            kept = _least(plan.curve) / (plan.runs * _least(together.curve))
            plan = together if kept >= _KEPT_RATE else plan
    if wishes.max_rows is None:
        plan = replace(plan, max_rows=_enough(plan.curve))
    return plan


def _enough(curve: Curve) -> int:
    """The smallest size of which a row costs about the least, the work around the model included."""
    costs = {rows: (seconds + _AROUND_SECONDS) / rows for rows, seconds in curve.items()}
    good = _EQUALLY_GOOD * min(costs.values())
    return min(rows for rows, cost in costs.items() if cost <= good)


def _least(curve: Curve) -> float:
    """Seconds a row at its cheapest."""
    return min(seconds / rows for rows, seconds in curve.items())
