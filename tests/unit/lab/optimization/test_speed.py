"""A B A B on a fake clock."""

import pytest

from trireme_lab.optimization.speed import compare


class Clock:
    """Time that passes only where somebody works."""

    def __init__(self) -> None:
        self.now = 0.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: list[float]) -> None:
        self.log.append(name)
        self.now += seconds.pop(0) if len(seconds) > 1 else seconds[0]


def test_turns_and_medians() -> None:
    clock = Clock()

    speed = compare(
        lambda: clock.work("a", [0.04]),
        lambda: clock.work("b", [0.02]),
        batch=8,
        rounds=3,
        leg_seconds=0.09,
        clock=clock,
    )

    assert (speed.batch, speed.original_seconds, speed.variant_seconds) == (
        8,
        pytest.approx(0.04),
        pytest.approx(0.02),
    )
    assert (speed.ratio, speed.low) == (pytest.approx(2.0), pytest.approx(2.0))
    turns = "".join(clock.log).removeprefix("aaaabbbb")
    assert turns == "aabbbb" * 3


def test_a_burst_of_others_does_not_make_a_variant_faster() -> None:
    clock = Clock()
    # Four runs find out how many fill a leg; then one leg of the original meets a burst.
    original = [0.1] * 4 + [0.1, 0.1, 9.0, 0.1]

    speed = compare(
        lambda: clock.work("a", original),
        lambda: clock.work("b", [0.1]),
        batch=1,
        rounds=5,
        leg_seconds=0.1,
        clock=clock,
    )

    assert speed.ratio == pytest.approx(1.0)
    assert speed.low == pytest.approx(1.0)


def test_the_lowest_round_shows_that_a_variant_was_lucky() -> None:
    clock = Clock()
    # Four runs that find out how many fill a leg, then one a round.
    lucky = [0.1] * 4 + [0.05, 0.05, 0.05, 0.05, 0.2]

    speed = compare(
        lambda: clock.work("a", [0.1]),
        lambda: clock.work("b", lucky),
        batch=1,
        rounds=5,
        leg_seconds=0.1,
        clock=clock,
    )

    assert (speed.ratio, speed.low) == (pytest.approx(2.0), pytest.approx(0.5))
