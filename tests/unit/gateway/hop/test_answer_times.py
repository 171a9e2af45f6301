from __future__ import annotations

import random

import pytest

from trireme_gateway.hop.answer_times import AnswerTimes, EndpointPace


def test_quantiles_of_what_was_seen() -> None:
    times = AnswerTimes()
    for number in random.Random(1).sample(range(512), 512):
        times.add(number / 1000)
    assert times.count > 440
    assert times.quantile(0.5) == pytest.approx(0.256, abs=0.02)
    assert times.quantile(0.99) == pytest.approx(0.507, abs=0.01)
    assert times.quantile(1.0) <= 0.511


def test_the_window_follows_a_change() -> None:
    times = AnswerTimes()
    for _ in range(5000):
        times.add(0.001)
    for _ in range(600):
        times.add(0.2)
    assert times.quantile(0.01) == 0.2


def test_the_first_answer_is_known_at_once_and_sorting_becomes_rare() -> None:
    times = AnswerTimes()
    assert times.add(0.5)
    assert times.count == 1
    assert times.quantile(0.99) == 0.5
    sorts = sum(times.add(0.1) for _ in range(6400))
    assert sorts <= 6400 / 64 + 40


def test_a_pace_rises_quickly_and_falls_slowly() -> None:
    pace = EndpointPace()
    pace.answered(0.01, 0.0)
    for _ in range(5):
        pace.answered(0.2, 0.0)
    risen = pace.seconds
    assert risen is not None
    assert risen > 0.15
    for _ in range(5):
        pace.answered(0.01, 0.0)
    assert 0.08 < (pace.seconds or 0) < risen


def test_waiting_in_vain_is_a_sample_only_where_it_says_something() -> None:
    pace = EndpointPace()
    pace.gave_up(0.5, 0.0)
    assert pace.seconds is None
    pace.answered(0.1, 0.0)
    pace.gave_up(0.05, 0.0)
    assert pace.seconds == 0.1
    pace.gave_up(0.5, 0.0)
    assert pace.seconds == pytest.approx(0.22)


def test_only_an_endpoint_much_slower_than_the_best_weighs_more() -> None:
    pace = EndpointPace()
    assert pace.weight(0.001, 0.0) == 1.0
    pace.answered(0.019, 0.0)
    assert pace.weight(0.010, 0.0) == 1.0
    assert pace.weight(0.001, 0.0) == pytest.approx(1.9)  # under 5 ms times are not told apart
    pace.answered(10.0, 0.0)
    assert pace.weight(0.01, 0.0) > 100


def test_slowness_is_forgotten_so_that_the_endpoint_is_tried_again() -> None:
    pace = EndpointPace()
    pace.answered(0.205, 0.0)
    weights = [pace.weight(0.005, second) for second in range(0, 60, 5)]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 20
    assert weights[2] > 4
    assert weights[-1] == 1.0
