from __future__ import annotations

import pytest

from trireme_client import BadRequest, DeadlineExceeded, Retries, TriremeError, Unavailable, Unreachable
from trireme_client.retries import Attempts, RetryBudget

REFUSED = Unavailable("not now", status=503)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def attempts(
    seconds: float = 60,
    clock: Clock | None = None,
    budget: RetryBudget | None = None,
    random: float = 1.0,
    **changes: float,
) -> Attempts:
    retries = Retries(**changes)  # type: ignore[arg-type]
    shared = budget or RetryBudget(retries.share, retries.reserve)
    return Attempts(retries, shared, seconds, "r", clock or Clock(), lambda: random)


def pauses(found: Attempts, error: TriremeError = REFUSED) -> list[float]:
    """Until there is no further try."""
    made: list[float] = []
    while True:
        try:
            made.append(found.pause(error))
        except type(error):
            return made


def test_pauses_double_up_to_the_longest() -> None:
    found = attempts(attempts=6, first_pause_seconds=0.5, longest_pause_seconds=3)
    assert pauses(found) == [0.5, 1, 2, 3, 3]
    assert pauses(attempts(attempts=3, random=0.25)) == [0.025, 0.05]
    assert pauses(attempts(attempts=1)) == []


def test_retry_after_is_waited_for_and_jittered() -> None:
    told = Unavailable("later", retry_after_seconds=2.0)
    assert pauses(attempts(attempts=3, random=0.5), told) == [2.05, 2.1]
    assert pauses(attempts(attempts=2, random=0), told) == [2.0]


@pytest.mark.parametrize("error", [BadRequest("wrong"), DeadlineExceeded("late")])
def test_what_would_fail_again_is_not_tried_again(error: TriremeError) -> None:
    assert pauses(attempts(), error) == []


def test_no_pause_outlasts_the_time_of_the_call() -> None:
    clock = Clock()
    found = attempts(1.0, clock, first_pause_seconds=0.6)
    assert found.pause(REFUSED) == 0.6
    clock.now += 0.6
    with pytest.raises(Unavailable):
        found.pause(REFUSED)
    assert found.remaining() == pytest.approx(0.4)
    clock.now += 0.4
    with pytest.raises(DeadlineExceeded, match="within 1 s"):
        found.remaining()


def test_a_retry_that_does_not_come_costs_no_budget() -> None:
    budget = RetryBudget(share=0, reserve=1)
    assert pauses(attempts(0.01, budget=budget, first_pause_seconds=1)) == []
    assert budget.spend()


def test_the_reserve_is_shared_by_all_calls() -> None:
    budget = RetryBudget(share=0, reserve=5)
    made = [len(pauses(attempts(budget=budget))) for _ in range(4)]
    assert made == [3, 2, 0, 0]


def test_while_everything_is_refused_retries_are_a_share_of_the_calls() -> None:
    budget = RetryBudget(share=0.2, reserve=10)
    made = [len(pauses(attempts(budget=budget), Unreachable("gone"))) for _ in range(1000)]
    assert sum(made) == pytest.approx(10 + 0.2 * 1000, abs=3)
    assert sum(made[500:]) == pytest.approx(0.2 * 500, abs=3)


def test_quiet_times_fill_the_reserve_and_no_more() -> None:
    budget = RetryBudget(share=0.5, reserve=2)
    for _ in range(100):
        budget.earn()
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    budget.earn()
    assert not budget.spend()
    budget.earn()
    assert budget.spend()
