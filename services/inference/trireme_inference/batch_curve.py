"""Measures the batch curve of a model when it loads, in a bounded time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import numpy as np

from trireme_common.tensors import Array
from trireme_inference.backend import Backend, RunError
from trireme_inference.signature import Signature

CPU_BUDGET_SECONDS = 0.5
GPU_BUDGET_SECONDS = 1.0
_FIRST_RUNS = 3
_MORE_PASSES = 5


def measure_curve(
    backend: Backend,
    signature: Signature,
    feed: Mapping[str, Array],
    most_rows: int,
    *,
    budget_seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[int, float]:
    """Seconds of one run of 1, 2, 4, ... and `most_rows` rows, the least of several runs each.

    The rows are the first of `feed`, repeated; a model without a batch takes `feed` as it is. Every size is
    run once beforehand, since a runtime prepares itself for a new shape, and three times before the next,
    since other work on the machine only ever adds to a time; what is left goes to passes over all sizes. A
    size that is not expected to fit into what is left of `budget_seconds` of measured runs is not run, nor
    is any larger one; one row always is. Stops at a size that the model fails on.
    """
    curve: dict[int, float] = {}
    left = budget_seconds
    for rows in _order(most_rows):
        if curve and _expected(curve, rows) > left:
            continue
        batch = _of_rows(feed, rows) if signature.batchable else feed
        try:
            if rows not in curve:
                backend.run(batch, signature.fetch)
            before = clock()
            backend.run(batch, signature.fetch)
        except RunError:
            break
        seconds = clock() - before
        left -= seconds
        curve[rows] = min(seconds, curve.get(rows, math.inf))
    return curve


def _of_rows(feed: Mapping[str, Array], rows: int) -> dict[str, Array]:
    return {name: np.repeat(array[:1], rows, axis=0) for name, array in feed.items()}


def _order(most: int) -> list[int]:
    """The rows of one run after the other."""
    sizes = [*(1 << power for power in range((most - 1).bit_length())), most]
    return [size for size in sizes for _ in range(_FIRST_RUNS)] + sizes * _MORE_PASSES


def _expected(curve: Mapping[int, float], rows: int) -> float:
    """What a run of so many rows will take, judged by the largest size that was run."""
    largest = max(curve)
    return curve[rows] if rows in curve else curve[largest] * rows / largest
