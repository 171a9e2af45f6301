"""The gate, both ways."""

from dataclasses import replace
from pathlib import Path

import pytest

from trireme_lab.optimization import gate
from trireme_lab.optimization.agreement import Agreement
from trireme_lab.optimization.speed import Speed
from trireme_lab.optimization.trial import Trial

GOOD = Agreement(items=10, loss=0.0, max_absolute=0.0, max_relative=0.0)


def trial(name: str, *ratios: float, size: int = 100, low: float | None = None) -> Trial:
    """A variant that is `ratios` times as fast, of `size` bytes where the original has 100."""
    speeds = tuple(
        Speed(at, 1.0, 1.0 / ratio, ratio, ratio if low is None else low) for at, ratio in enumerate(ratios)
    )
    return Trial(name, Path(name), 100, size, speeds, GOOD)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            replace(trial("v", 2.0), agreement=replace(GOOD, loss=0.011)),
            "loss 0.011 is over the tolerance of 0.01",
        ),
        (replace(trial("v", 2.0), neighbours_gap=0.5), "one by one"),
        (replace(trial("v", 2.0), golden_gap=float("inf")), "not finite"),
        (replace(trial("v", 2.0), golden_gap=2.0, golden_scale=4.0), "an answer of zeros pass"),
        (replace(trial("v", 2.0), agreement=None, problem="no such operator"), "no such operator"),
        (trial("v", 1.0, 1.04, size=95), "neither faster nor smaller"),
        (trial("v", 1.2, 0.9), "neither faster nor smaller"),
        (trial("v", 1.2, low=0.99), "neither faster nor smaller"),
    ],
)
def test_refused(found: Trial, words: str) -> None:
    (reason,) = gate.refusals(found, 0.01)
    assert words in reason
    assert gate.best([found], 0.01) is None


@pytest.mark.parametrize(
    "found",
    [
        trial("faster", 1.06, 0.96),
        trial("smaller", 0.3, size=90),
        replace(trial("v", 2.0), agreement=replace(GOOD, loss=0.01)),
        replace(trial("v", 2.0), golden_gap=1.9, golden_scale=4.0),
    ],
)
def test_allowed(found: Trial) -> None:
    assert gate.refusals(found, 0.01) == ()
    assert gate.best([found], 0.01) is found


def test_the_fastest_first_then_the_smallest_that_is_not_slower() -> None:
    fast, faster = trial("fast", 1.2, 1.2), trial("faster", 1.1, 1.6)
    small, smallest = trial("small", 1.0, size=60), trial("smallest", 0.4, size=20)

    assert gate.best([small, fast, faster, smallest], 0.01) is faster
    assert gate.best([smallest, small], 0.01) is small
    assert gate.best([smallest], 0.01) is smallest
