"""What an autoscaler is told of work that comes and goes between its looks."""

from __future__ import annotations

import random

import pytest

from trireme_gateway.scaling.flight import Sample, Window

IDLE = Sample(0, 0.0, 0, 0)


def test_nothing_is_nothing() -> None:
    window = Window(10)
    assert (window.in_flight, window.queued) == (0.0, 0)
    window.add(0.0, IDLE)
    assert (window.in_flight, window.queued) == (0.0, 0)


def test_short_requests_that_no_look_catches_still_count() -> None:
    window = Window(10)
    for second in range(30):
        window.add(float(second), Sample(sent=1, seconds=0.01, under_way=0, queued=0))
    assert window.in_flight == pytest.approx(0.011, abs=0.002)


def test_one_request_keeps_the_pool_from_looking_idle_for_the_window() -> None:
    window = Window(10)
    window.add(0.0, Sample(1, 0.0, 0, 0))
    seen = []
    for second in range(1, 15):
        window.add(float(second), IDLE)
        seen.append(window.in_flight > 0)
    assert seen == [True] * 10 + [False] * 4


def test_long_requests_count_for_as_long_as_they_run() -> None:
    window = Window(10)
    window.add(0.0, Sample(4, 0.0, 4, 0))
    for second in range(1, 60):
        window.add(float(second), Sample(0, 0.0, 4, 0))
    assert window.in_flight == 4.0


def test_both_estimates_find_the_mean_of_a_simulated_queue() -> None:
    """Arrivals at random, 20 a second, each 0.2 s: 4 are under way on average."""
    chance = random.Random(7)
    arrivals, now = [], 0.0
    while now < 120:
        now += chance.expovariate(20)
        arrivals.append(now)
    window = Window(60)
    for step in range(1, 240):
        at = step / 2
        sent = sum(at - 0.5 < arrival <= at for arrival in arrivals)
        under_way = sum(arrival <= at < arrival + 0.2 for arrival in arrivals)
        window.add(at, Sample(sent, 0.2, under_way, 0))
    assert window.in_flight == pytest.approx(4.0, rel=0.15)


def test_the_most_that_waited_is_told_for_the_window() -> None:
    window = Window(10)
    for second, queued in enumerate([0, 7, 3, 0]):
        window.add(float(second), Sample(0, 0.0, 0, queued))
    assert window.queued == 7
    window.add(11.5, IDLE)
    assert window.queued == 3
    window.add(40.0, IDLE)
    assert window.queued == 0
