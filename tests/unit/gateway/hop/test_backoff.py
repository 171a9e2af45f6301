from __future__ import annotations

from trireme_gateway.hop.backoff import Backoff


def test_it_doubles_up_to_its_bound() -> None:
    backoff = Backoff(lambda low, high: 1.0)
    assert [backoff.after(0.0) for _ in range(6)] == [0.05, 0.1, 0.2, 0.4, 0.6, 0.6]


def test_a_connection_that_lasted_begins_anew() -> None:
    backoff = Backoff(lambda low, high: 1.0)
    for _ in range(5):
        backoff.after(0.0)
    assert backoff.after(5.1) == 0.05


def test_it_is_jittered_and_under_a_second() -> None:
    backoff = Backoff()
    waits = [backoff.after(0.0) for _ in range(200)]
    assert len(set(waits)) > 190
    assert max(waits) < 1.0
