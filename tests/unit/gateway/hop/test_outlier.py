from __future__ import annotations

import pytest

from trireme_gateway.hop.answer_times import AnswerTimes
from trireme_gateway.hop.outlier import Outlier, OutlierPolicy, Reason

POLICY = OutlierPolicy()


def outlier() -> Outlier:
    return Outlier(POLICY, lambda low, high: (low + high) / 2)


def times(seconds: float, count: int = 100) -> AnswerTimes:
    found = AnswerTimes()
    for _ in range(count):
        found.add(seconds)
    return found


@pytest.mark.parametrize(
    ("answers", "limit"),
    [
        (times(0.005), 0.3),
        (times(0.2), 0.6),
        (times(5.0), 15.0),
        (times(0.005, count=10), 1.0),
        (AnswerTimes(), 1.0),
    ],
)
def test_the_limit_of_silence_is_learnt(answers: AnswerTimes, limit: float) -> None:
    assert POLICY.silence_limit(answers) == pytest.approx(limit)


@pytest.mark.parametrize(
    ("usable", "most"), [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (6, 4), (9, 6), (30, 20)]
)
def test_never_are_all_ejected(usable: int, most: int) -> None:
    ejected = 0
    while POLICY.may_eject(ejected, usable):
        ejected += 1
    assert ejected == most


def test_five_failures_in_a_row_are_too_many() -> None:
    it = outlier()
    for _ in range(4):
        it.failed()
    assert not it.failing
    it.answered()
    for _ in range(4):
        it.failed()
    assert not it.failing
    it.failed()
    assert it.failing


def test_a_probe_waits_for_its_time_and_only_one_is_risked() -> None:
    it = outlier()
    it.eject(Reason.SILENCE, 100.0)
    assert it.ejected
    assert not it.trusted
    assert not it.wants_probe(100.9)
    assert it.wants_probe(101.0)
    it.probe(101.0)
    assert it.trusted
    assert not it.wants_probe(101.5)
    assert it.wants_probe(102.0)  # the caller of the first probe left


def test_an_answer_ends_it_at_once() -> None:
    for reason in Reason:
        it = outlier()
        it.eject(reason, 0.0)
        it.answered()
        assert not it.ejected


def test_any_word_ends_an_ejection_for_silence_and_no_other() -> None:
    silent, failing = outlier(), outlier()
    silent.eject(Reason.SILENCE, 0.0)
    failing.eject(Reason.FAILURES, 0.0)
    silent.spoke()
    failing.spoke()
    assert not silent.ejected
    assert failing.ejected


def test_calls_taken_back_in_vain_are_silence_too() -> None:
    it = outlier()
    for since in (10.0, 10.01, 10.02):
        assert not it.mute(99.0)
        it.ignored(since)
    assert not it.mute(10.09)
    assert it.mute(10.11)
    it.spoke()
    assert not it.mute(99.0)
    it.ignored(20.0)
    it.eject(Reason.SILENCE, 20.0)
    it.probe(21.0)
    it.ignored(21.0)
    assert it.mute(21.2)


def test_a_probe_that_fails_ends_in_ejection() -> None:
    it = outlier()
    it.eject(Reason.FAILURES, 0.0)
    it.failed()
    assert not it.failing
    it.probe(1.0)
    it.failed()
    assert it.failing


def lengths(gap: float, count: int) -> list[float]:
    """Ejections of an endpoint that never answers: how long each lasts until the probe."""
    it, now, found = outlier(), 0.0, []
    for _ in range(count):
        it.eject(Reason.SILENCE, now)
        start = now
        while not it.wants_probe(now):
            now += 0.01
        found.append(round(now - start, 1))
        it.probe(now)
        now += gap
    return found


def test_ejections_grow_up_to_a_bound() -> None:
    assert lengths(0.3, 8) == [1, 2, 4, 8, 16, 30, 30, 30]


def test_long_good_conduct_is_a_fresh_start() -> None:
    assert lengths(61.0, 4) == [1, 1, 1, 1]


def test_ejections_are_jittered() -> None:
    drawn: list[tuple[float, float]] = []

    def low(least: float, most: float) -> float:
        drawn.append((least, most))
        return least

    it = Outlier(POLICY, low)
    it.eject(Reason.SILENCE, 0.0)
    assert drawn == [(0.8, 1.2)]
    assert it.wants_probe(0.81)
