"""The rate at which rows come, apart for every number of requests that are present."""

import random

import pytest

from trireme_inference.arrivals import Arrivals


def test_a_lone_caller_comes_often_and_never_while_it_is_there() -> None:
    arrivals = Arrivals(1.0)
    now = 0.0
    for number in range(1000):
        now += 0.001
        arrivals.seen(now, number + 1, 1)
        now += 0.004
        assert arrivals.rate_beside() == 0
        arrivals.seen(now, number + 1, 0)
    assert arrivals.rate == pytest.approx(200, rel=0.05)


def test_of_two_callers_one_is_expected_and_a_third_is_not() -> None:
    arrivals = Arrivals(1.0)
    now, arrived = 0.0, 0
    for _ in range(500):
        for present in (1, 2):
            now, arrived = now + 0.002, arrived + 1
            arrivals.seen(now, arrived, present)
        now += 0.006
        arrivals.seen(now, arrived, 0)
    arrivals.seen(now, arrived + 1, 1)
    assert arrivals.rate_beside() > 100
    arrivals.seen(now, arrived + 2, 2)
    assert arrivals.rate_beside() == 0


def test_rows_that_come_together_are_no_company_of_each_other() -> None:
    arrivals = Arrivals(1.0)
    now = 0.0
    for number in range(200):
        now += 0.001
        arrivals.seen(now, 8 * number + 8, 8)
        now += 0.004
        arrivals.seen(now, 8 * number + 8, 0)
    for present in range(1, 9):
        arrivals.seen(now, 1600, present)
        assert arrivals.rate_beside() == 0


def test_random_arrivals_are_expected_whoever_is_present() -> None:
    arrivals = Arrivals(1.0)
    chance = random.Random(1)
    now, present = 0.0, 0
    for number in range(20_000):
        now += chance.expovariate(400)
        present = (present + 1) % 5
        arrivals.seen(now, number + 1, present)
    for present in range(1, 5):
        arrivals.seen(now, 20_000, present)
        # Never above by more than chance; below by the doubt.
        assert 200 < arrivals.rate_beside() < 600


def test_what_has_changed_is_forgotten_within_two_windows() -> None:
    arrivals = Arrivals(1.0)
    now = 0.0
    for number in range(10_000):
        now += 0.0001
        arrivals.seen(now, number + 1, 1)
    assert arrivals.rate_beside() > 500
    arrivals.seen(now + 2.0, 10_000, 1)
    assert arrivals.rate_beside() < 10
