"""The decision of how a model is run, on curves of many kinds."""

from dataclasses import replace

import pytest

from trireme_inference.tuning import Curve, Plan, Wishes, alternative, choose, first_plan

# Seconds of 1, 2, 4, ... rows.
GPU_LIKE = {1: 0.002, 2: 0.0021, 4: 0.0022, 8: 0.0025, 16: 0.0035, 32: 0.006, 64: 0.0118, 128: 0.0236}
CACHE_BOUND = {1: 0.0097, 2: 0.0193, 4: 0.042, 8: 0.099, 16: 0.25, 32: 0.52}
TINY = {1: 2e-5, 2: 2.1e-5, 4: 2.2e-5, 8: 2.4e-5, 16: 3e-5, 32: 4e-5}
FLAT_AND_SLOW = {1: 0.2, 2: 0.4, 4: 0.8}


def rows_of(curve: Curve, wishes: Wishes | None = None, *, gpu: bool = False) -> int:
    """The largest batch that is chosen on two threads."""
    return choose(wishes or Wishes(), Plan(128, curve=curve), threads=2, gpu=gpu).max_rows


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (CACHE_BOUND, 1),  # two rows together are no cheaper
        (TINY, 32),  # the work around a run decides
        (FLAT_AND_SLOW, 1),  # nothing is gained by waiting for each other
        ({1: 0.003, 2: 0.006, 4: 0.012, 8: 0.024}, 4),  # beyond four, less than 3% is gained
        ({1: 0.010, 2: 0.0195, 4: 0.0385, 8: 0.083}, 2),
        ({1: 0.004, 2: 0.005, 4: 0.007, 8: 0.011, 16: 0.0225}, 8),
        ({3: 0.1}, 3),
    ],
)
def test_the_smallest_of_the_cheapest_batches_is_taken(curve: Curve, expected: int) -> None:
    assert rows_of(curve) == expected


def test_a_gpu_is_filled_as_far_as_that_helps() -> None:
    assert rows_of(GPU_LIKE, gpu=True) == 64
    assert rows_of({**GPU_LIKE, 64: 0.0100, 128: 0.0175}, gpu=True) == 128


def test_what_the_user_wrote_stands() -> None:
    wishes = Wishes(max_rows=32, runs=3)
    plan = replace(first_plan(wishes, threads=8, gpu=False), curve=CACHE_BOUND)
    assert (plan.max_rows, plan.runs, plan.threads) == (32, 3, 2)
    assert alternative(wishes, plan, threads=8, gpu=False) is None
    assert choose(wishes, plan, threads=8, gpu=False) == plan


def test_nothing_measured_changes_nothing() -> None:
    plan = first_plan(Wishes(), threads=4, gpu=False)
    assert (plan.max_rows, plan.runs, plan.threads) == (32, 1, 1)
    assert choose(Wishes(), plan, threads=4, gpu=False) == plan


def test_a_slow_model_gets_a_run_for_every_thread() -> None:
    measured = Plan(32, curve=CACHE_BOUND)
    assert alternative(Wishes(), measured, threads=4, gpu=False) == Plan(32, 1, 4)
    plan = choose(Wishes(), measured, threads=4, gpu=False)
    assert (plan.runs, plan.threads) == (4, 1)


@pytest.mark.parametrize(("speed_up", "expected"), [(3.0, (4, 1)), (3.9, (1, 4)), (4.5, (1, 4))])
def test_threads_run_together_only_where_that_costs_no_throughput(
    speed_up: float, expected: tuple[int, int]
) -> None:
    measured = Plan(32, curve=CACHE_BOUND)
    together = Plan(32, 1, 4, {rows: seconds / speed_up for rows, seconds in CACHE_BOUND.items()})
    plan = choose(Wishes(), measured, together, threads=4, gpu=False)
    assert (plan.runs, plan.threads) == expected


def test_a_tiny_model_gets_one_run() -> None:
    measured = Plan(32, curve=TINY)
    assert alternative(Wishes(), measured, threads=4, gpu=False) is None
    plan = choose(Wishes(), measured, threads=4, gpu=False)
    assert (plan.max_rows, plan.runs, plan.threads) == (32, 1, 1)


def test_a_gpu_gets_one_run_and_all_threads() -> None:
    plan = first_plan(Wishes(), threads=4, gpu=True)
    assert (plan.max_rows, plan.runs, plan.threads) == (128, 1, 4)
    plan = replace(plan, curve=CACHE_BOUND)
    assert alternative(Wishes(), plan, threads=4, gpu=True) is None
    assert choose(Wishes(), plan, threads=4, gpu=True).runs == 1
