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
_PASSES = 8
_LEAST_RUNS = 2


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

    The rows are the first of `feed`, repeated; a model without a batch takes `feed` as it is. Sizes are run
    in turn, in passes over all of them, since other work on the machine only ever adds to a time, and seldom
    for as long as all passes take. Every size is run once beforehand, for a runtime prepares itself for a new
    shape. A size of which two runs are not expected to fit into what is left of `budget_seconds` of
    measured runs is not begun, nor is any larger one; one row always is. Sizes that the model fails on are
    left out, and larger ones with them.
    """
    curve: dict[int, float] = {}
    left, sizes = budget_seconds, _sizes(most_rows)
    for number in range(_PASSES):
        for rows in sizes:
            if number and rows not in curve:
                break
            if curve and _expected(curve, rows) * (1 if number else _LEAST_RUNS) > left:
                break
            batch = _of_rows(feed, rows) if signature.batchable else feed
            try:
                if not number:
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


def _sizes(most: int) -> list[int]:
    return [*(1 << power for power in range((most - 1).bit_length())), most]


def _expected(curve: Mapping[int, float], rows: int) -> float:
    """What a run of so many rows will take, judged by the largest size that was run."""
    largest = max(curve)
    return curve[rows] if rows in curve else curve[largest] * rows / largest
