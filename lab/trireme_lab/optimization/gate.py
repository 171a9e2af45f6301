"""Which variants may become a version, and which of them does."""

from __future__ import annotations

from collections.abc import Sequence

from trireme_lab.optimization.trial import Trial

# Two runs of one model on a shared machine differ by a few per cent.
FASTER = 1.05
NOT_SLOWER = 0.95
SMALLER = 0.9
# Answers of int8 and fp16 differ a little from CPU to CPU; the golden check must hold on all of them.
_GOLDEN_HEADROOM = 2.0


def refusals(trial: Trial, tolerance: float) -> tuple[str, ...]:
    """Why the variant may not be published; empty if it may."""
    if trial.problem or trial.agreement is None:
        return (trial.problem or "it was not measured",)
    found = []
    if trial.agreement.loss > tolerance:
        found.append(f"loss {trial.agreement.loss:.3g} is over the tolerance of {tolerance:g}")
    if trial.golden_gap == float("inf"):
        found.append("its golden answer is not finite, or of another shape")
    elif trial.golden_gap and golden_bound(trial) >= trial.golden_scale:
        found.append(
            f"its golden answer differs by {trial.golden_gap:.2g}, of values up to {trial.golden_scale:.2g}: "
            "a check that allows twice as much would let an answer of zeros pass"
        )
    if trial.neighbours_gap:
        found.append(
            f"an answer moves by {trial.neighbours_gap:.2g} with its neighbours in a batch, "
            "so the platform would run its requests one by one"
        )
    if not (is_faster(trial) or is_smaller(trial)):
        found.append("it is neither faster nor smaller")
    return tuple(found)


def golden_bound(trial: Trial) -> float:
    """Absolute difference from the framework's golden answer that a version made of it may have."""
    return _GOLDEN_HEADROOM * trial.golden_gap


def best(trials: Sequence[Trial], tolerance: float) -> Trial | None:
    """Of those that may be published the fastest, if any is faster than the original; else the smallest
    of those that are not slower; else the smallest."""
    allowed = [trial for trial in trials if not refusals(trial, tolerance)]
    faster = [trial for trial in allowed if is_faster(trial)]
    if faster:
        return max(faster, key=_speed)
    as_fast = [trial for trial in allowed if not is_slower(trial)]
    return min(as_fast or allowed, key=lambda trial: trial.bytes, default=None)


def is_faster(trial: Trial) -> bool:
    """At least 5 % faster at one batch size, in every round, and slower at none."""
    return any(speed.ratio >= FASTER and speed.low > 1 for speed in trial.speeds) and not is_slower(trial)


def is_slower(trial: Trial) -> bool:
    """More than 5 % slower at one batch size."""
    return any(speed.ratio < NOT_SLOWER for speed in trial.speeds)


def is_smaller(trial: Trial) -> bool:
    """At most nine tenths of the original's bytes."""
    return trial.bytes <= SMALLER * trial.original_bytes


def _speed(trial: Trial) -> float:
    product = 1.0
    for speed in trial.speeds:
        product *= speed.ratio
    return product
