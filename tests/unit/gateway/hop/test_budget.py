from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trireme_gateway.hop.budget import RetryBudget


def taken(budget: RetryBudget, now: float, wanted: int) -> int:
    return sum(budget.take(now) for _ in range(wanted))


def test_a_small_reserve_is_there_from_the_start() -> None:
    assert taken(RetryBudget(), 0.0, 100) == 10


def test_everything_that_one_endpoint_had_under_way_fails_over_at_once() -> None:
    budget = RetryBudget()
    for _ in range(80):
        budget.called(1.0)
    budget.note_under_way(1.0, 64)
    assert taken(budget, 1.0, 1000) == 64 + 16


def test_what_was_spent_comes_back_after_the_window() -> None:
    budget = RetryBudget()
    assert taken(budget, 0.0, 100) == 10
    assert not budget.take(9.9)
    assert taken(budget, 10.0, 100) == 10


def test_a_peak_is_forgotten_after_the_window() -> None:
    budget = RetryBudget()
    budget.note_under_way(0.0, 500)
    assert budget.left(9.0) == 500
    assert budget.left(10.0) == 10


def test_long_silence_leaves_nothing_of_old_windows() -> None:
    budget = RetryBudget()
    for second in range(30):
        for _ in range(100):
            budget.called(float(second))
    assert budget.left(29.5) == 0.2 * 1000 + 10
    assert budget.left(1000.0) == 10
    budget.called(1000.0)
    assert budget.left(1000.0) == 10.2


def test_no_fraction_is_no_repeat() -> None:
    budget = RetryBudget(fraction=0.0)
    budget.called(0.0)
    assert not budget.take(0.0)


def test_a_retry_storm_stays_within_the_budget() -> None:
    """Every call fails and wants three repeats for a minute, at 200 a second."""
    budget = RetryBudget()
    calls = repeats = 0
    for tick in range(12_000):
        now = tick / 200
        budget.called(now)
        budget.note_under_way(now, 8)
        calls += 1
        repeats += taken(budget, now, 3)
    reserves = 60 / 10 * 10
    assert repeats <= 0.2 * calls + reserves + 1
    assert repeats > 0.15 * calls


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 30), st.integers(0, 40)), max_size=60))
def test_no_window_repeats_more_than_its_share_and_one_reserve(steps: list[tuple[float, int, int]]) -> None:
    budget = RetryBudget()
    now = 0.0
    history: list[tuple[float, int, int]] = []
    for pause, calls, wanted in steps:
        now += pause
        for _ in range(calls):
            budget.called(now)
        history.append((now, calls, taken(budget, now, wanted)))
        recent = [entry for entry in history if entry[0] > now - 9]  # a window is at least nine seconds
        earlier = sum(entry[1] for entry in history if entry[0] > now - 20)
        assert sum(entry[2] for entry in recent) <= 0.2 * earlier + 10
