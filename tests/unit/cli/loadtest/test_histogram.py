"""Percentiles of many durations, against the sorted durations themselves."""

from __future__ import annotations

import math
import random

import pytest

from trireme_cli.loadtest.histogram import Histogram


def filled(durations: list[float]) -> Histogram:
    histogram = Histogram()
    for seconds in durations:
        histogram.record(seconds)
    return histogram


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 0.999, 1.0])
def test_percentiles_are_off_by_half_a_percent_at_most(share: float) -> None:
    draw = random.Random(5)
    durations = sorted(10 ** draw.uniform(-5, 1) for _ in range(20_000))
    exact = durations[math.ceil(share * len(durations)) - 1]

    assert filled(durations).percentile(share) == pytest.approx(exact, rel=0.0051)


def test_mean_least_and_most_are_exact() -> None:
    histogram = filled([0.001, 0.002, 0.009])
    assert (histogram.count, histogram.min, histogram.max) == (3, 0.001, 0.009)
    assert histogram.mean == pytest.approx(0.004)
    assert histogram.percentile(1) == 0.009
    assert histogram.percentile(0) == pytest.approx(0.001, rel=0.005)


def test_nothing_has_no_percentile() -> None:
    empty = Histogram()
    assert math.isnan(empty.percentile(0.5))
    assert math.isnan(empty.mean)


def test_merged_it_is_as_if_one_had_counted_all() -> None:
    draw = random.Random(6)
    left, right = ([draw.expovariate(100) for _ in range(500)] for _ in range(2))
    merged = filled(left)
    merged.merge(filled(right))
    both = filled([*left, *right])
    assert list(merged.buckets()) == list(both.buckets())
    assert (merged.count, merged.min, merged.max) == (both.count, both.min, both.max)


def test_memory_does_not_grow_with_the_number() -> None:
    histogram = filled([0.001 * (1 + number % 1000) for number in range(50_000)])
    assert sum(count for _, count in histogram.buckets()) == 50_000
    assert len(list(histogram.buckets())) < 800


def test_what_is_shorter_than_a_microsecond_counts() -> None:
    assert filled([0.0, -1.0]).percentile(0.5) == pytest.approx(1e-6)
