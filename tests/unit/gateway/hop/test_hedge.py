from __future__ import annotations

import random

import pytest

from trireme_gateway.hop.answer_times import AnswerTimes
from trireme_gateway.hop.hedge import HedgeTokens, hedge_delay


def after(*seconds: float) -> float:
    times = AnswerTimes()
    for value in seconds:
        times.add(value)
    return hedge_delay(times)


def test_the_default_holds_until_enough_answers_came() -> None:
    assert after() == 0.1
    assert after(*[0.5] * 30) == 0.1
    assert after(*[0.5] * 100) == 0.5


@pytest.mark.parametrize(("answers", "delay"), [(0.0001, 0.02), (0.05, 0.05), (60.0, 2.0)])
def test_the_delay_is_clamped(answers: float, delay: float) -> None:
    assert after(*[answers] * 200) == delay


def test_the_tail_decides() -> None:
    chance = random.Random(3)
    times = AnswerTimes()
    for _ in range(2000):
        times.add(chance.uniform(0.03, 0.04) if chance.random() < 0.97 else chance.uniform(0.2, 0.3))
    assert 0.2 <= hedge_delay(times) <= 0.3


def test_hedges_stay_under_their_share_however_slow_everything_is() -> None:
    """A minute in which every call is late; the burst that a quiet time saved is bounded."""
    tokens = HedgeTokens()
    hedges = 0
    for _ in range(10_000):
        tokens.called()
        if tokens.available:
            tokens.take()
            hedges += 1
    assert hedges <= 0.05 * 10_000 + 2
    assert hedges > 0.049 * 10_000
    for _ in range(100_000):
        tokens.called()
    burst = 0
    while tokens.available:
        tokens.take()
        burst += 1
    assert burst <= 20


def test_a_fraction_of_nothing_hedges_nothing() -> None:
    tokens = HedgeTokens(0.0)
    for _ in range(1000):
        tokens.called()
    assert not tokens.available


def simulate(hedged: bool) -> list[float]:
    """5,000 calls of 5 ms; 2% of them meet a pause of a second at their endpoint."""
    chance = random.Random(5)
    times, tokens = AnswerTimes(), HedgeTokens()
    waits: list[float] = []
    for _ in range(5000):
        tokens.called()
        first, second = (1.0 if chance.random() < 0.008 else chance.uniform(0.004, 0.006) for _ in range(2))
        delay = hedge_delay(times)
        wait = first
        if hedged and first > delay and tokens.available:
            tokens.take()
            wait = min(first, delay + second)
            times.add(second if delay + second < first else first)
        else:
            times.add(first)
        waits.append(wait)
    return sorted(waits)


def test_hedging_cuts_the_tail() -> None:
    with_hedges, without = simulate(True), simulate(False)
    assert without[int(0.995 * len(without))] >= 1.0  # positive control
    assert with_hedges[int(0.995 * len(with_hedges))] <= 0.11
