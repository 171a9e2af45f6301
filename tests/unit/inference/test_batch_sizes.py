"""Which sizes are worth running, by the costs of runs."""

from collections.abc import Mapping

import pytest

from trireme_inference.batch_costs import CostCurve
from trireme_inference.batch_sizes import BatchSizes

STEADY = 60
"""Runs after which the bound of a steady cost is the cost."""


def sizes_of(
    curve: Mapping[int, float], *, objective: float = 1.0, max_rows: int = 32, ran: int = 1
) -> BatchSizes:
    sizes = BatchSizes(max_rows, objective, CostCurve(curve))
    for _ in range(STEADY):
        sizes.ran(ran, curve[ran])
    return sizes


@pytest.mark.parametrize(
    ("curve", "objective", "most", "enough"),
    [
        # Cheapest at 8, dearer again above.
        ({1: 0.003, 4: 0.006, 8: 0.010, 16: 0.030}, 1.0, 8, 8),
        # All the same: one row is enough, and more do no harm.
        ({1: 0.005, 2: 0.010, 4: 0.020}, 1.0, 8, 1),
        # The cheapest size does not fit twice into the objective: nobody waits for it, but it is run, and
        # more, for the largest was the best so far.
        ({1: 0.010, 8: 0.045}, 0.05, 16, 3),
        # Slower than the objective even alone.
        ({1: 0.010, 8: 0.090}, 0.005, 1, 1),
    ],
)
def test_the_sizes_follow_from_the_costs(
    curve: Mapping[int, float], objective: float, most: int, enough: int
) -> None:
    sizes = sizes_of(curve, objective=objective)
    assert (sizes.most, sizes.enough) == (most, enough)


def test_before_anything_is_known_one_row_is_run() -> None:
    sizes = BatchSizes(32, 1.0, CostCurve())
    assert (sizes.most, sizes.enough) == (1, 1)


def test_now_and_then_a_batch_may_be_larger_but_nobody_waits_for_it() -> None:
    curve = {1: 0.003, 4: 0.006, 8: 0.010, 16: 0.030}
    sizes = sizes_of(curve)
    seen = []
    for _ in range(16):
        sizes.ran(8, curve[8])
        seen.append((sizes.most, sizes.enough))
    assert seen.count((12, 8)) == 2
    assert seen.count((8, 8)) == 14
