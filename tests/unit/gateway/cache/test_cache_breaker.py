from __future__ import annotations

from trireme_gateway.cache.breaker import Breaker, Verdict


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock, *, failures: int = 2, jitter: float = 1.0) -> Breaker:
    return Breaker(
        failures=failures,
        backoff_seconds=0.1,
        max_backoff_seconds=1.0,
        clock=clock,
        uniform=lambda low, high: low + (high - low) * jitter,
    )


def test_it_opens_after_failures_in_a_row_only() -> None:
    tried = breaker(Clock(), failures=3)
    for _ in range(5):
        tried.failed()
        tried.failed()
        assert tried.suspicious
        tried.succeeded()
        assert tried.ask() is Verdict.PASS
    for _ in range(3):
        tried.failed()
    assert tried.is_open
    assert tried.ask() is Verdict.REFUSE


def test_one_probe_after_the_back_off_decides() -> None:
    clock = Clock()
    tried = breaker(clock, failures=1)
    tried.failed()
    clock.now = 0.099
    assert tried.ask() is Verdict.REFUSE
    clock.now = 0.1
    assert [tried.ask() for _ in range(3)] == [Verdict.PROBE, Verdict.REFUSE, Verdict.REFUSE]
    assert tried.is_open
    tried.succeeded()
    assert tried.ask() is Verdict.PASS
    assert not tried.suspicious


def test_the_back_off_doubles_up_to_its_bound_and_starts_again() -> None:
    clock = Clock()
    tried = breaker(clock, failures=1)
    tried.failed()
    waits = []
    for _ in range(6):
        start = clock.now
        while tried.ask() is not Verdict.PROBE:
            clock.now += 0.01
        waits.append(round(clock.now - start, 1))
        tried.failed()
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    clock.now += 1
    assert tried.ask() is Verdict.PROBE
    tried.succeeded()
    tried.failed()
    clock.now += 0.1
    assert tried.ask() is Verdict.PROBE


def test_jitter_shortens_the_back_off_by_up_to_half() -> None:
    clock = Clock()
    tried = breaker(clock, failures=1, jitter=0.0)
    tried.failed()
    clock.now = 0.05
    assert tried.ask() is Verdict.PROBE


def test_late_reports_of_calls_from_before_change_nothing() -> None:
    clock = Clock()
    tried = breaker(clock, failures=1)
    tried.failed()
    clock.now = 0.09
    tried.failed()
    tried.succeeded()
    assert tried.is_open
    clock.now = 0.1
    assert tried.ask() is Verdict.PROBE
