"""How many of the rows that wait an instance takes that has come free: its share, where that costs little.

Of w rows that wait, an instance of K takes w / K, as in guided self-scheduling (C. D. Polychronopoulos,
D. J. Kuck, "Guided Self-Scheduling", IEEE Transactions on Computers 36, 1987): the others come free
soon, and a row that was left for them is answered sooner than in one long run. How much a smaller run
wastes is known from the model's own costs: of K, K - 1, ..., 2 shares the most are made whose row costs
at most a twentieth more than in one run. So a model whose rows cost the same alone is shared, one whose
rows are cheap together keeps its batches, and where more waits than all instances can take every
batch is as large as it may be.
"""

from __future__ import annotations

from trireme_inference.batch_costs import CostCurve

_DEARER = 1.05


def share_of(rows: int, most: int, instances: int, costs: CostCurve) -> int:
    """Rows of the next run, 1 to `most`, of `rows` that wait; `most` where no cost is known yet."""
    whole = min(rows, most)
    if whole < 2 or not (cost := costs.seconds(whole)):
        return most
    bound = _DEARER * cost / whole
    for parts in range(instances, 1, -1):
        part = -(-rows // parts)
        if part >= most:
            return most
        if costs.seconds(part) <= bound * part:
            return part
    return most
