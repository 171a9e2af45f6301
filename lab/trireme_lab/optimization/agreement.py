"""How far a variant's answers are from the original's.

`loss` is one number whatever the task, the one that the tolerance is held against:

    classification    share of the items whose label is another
    embedding         1 - cosine, of the worst item
    anything else     biggest difference, over the biggest value of that output
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trireme_common.errors import TriremeError
from trireme_common.tensors import Array, Tensor
from trireme_lab.optimization.samples import Feeds

Outputs = dict[str, Array]
RunFeeds = Callable[[Feeds], Outputs]
Label = Callable[[Outputs], str]

# What the inference service allows between a row alone and beside others before it stops batching.
_TOGETHER_RTOL = 1e-3
_TOGETHER_ATOL = 1e-4


@dataclass(frozen=True)
class Agreement:
    """Over `items` answers; `cosine` of the worst embedding, `labels_changed` of a classification."""

    items: int
    loss: float
    max_absolute: float
    max_relative: float
    labels_changed: int | None = None
    cosine: float | None = None


def measure(task: str, want: Sequence[Outputs], got: Sequence[Outputs], label: Label | None) -> Agreement:
    """Compares answers item by item. `label` gives the label that postprocess makes of an answer."""
    absolute = max(biggest_gap(left, right) for left, right in zip(want, got, strict=True))
    relative = _relative(want, got)
    if label is not None:
        changed = sum(label(left) != label(right) for left, right in zip(want, got, strict=True))
        return Agreement(len(want), changed / len(want), absolute, relative, labels_changed=changed)
    if task == "text-embedding":
        cosine = min(_cosine(_first(left), _first(right)) for left, right in zip(want, got, strict=True))
        return Agreement(len(want), max(0.0, 1.0 - cosine), absolute, relative, cosine=cosine)
    return Agreement(len(want), relative, absolute, relative)


def labeller(postprocess: Callable[[Sequence[Tensor]], Any]) -> Label:
    """The label of an answer; an answer that postprocess refuses has the refusal as its label."""

    def label(outputs: Outputs) -> str:
        try:
            answer = postprocess([Tensor.of(name, array) for name, array in outputs.items()])
        except TriremeError as error:
            return f"refused: {error.detail}"
        return str(answer.label)

    return label


def depends_on_neighbours(run: RunFeeds, items: Sequence[Feeds], most: int) -> float:
    """Biggest difference between an item's answer alone and in a batch of items of its shape, where that
    is more than the service allows; 0.0 where it is not."""
    worst = 0.0
    for batch in batches(items, most):
        alone = [run(item) for item in batch]
        together = run(stacked(batch))
        for name, array in together.items():
            single = np.concatenate([outputs[name] for outputs in alone])
            if not np.allclose(array, single, rtol=_TOGETHER_RTOL, atol=_TOGETHER_ATOL, equal_nan=True):
                worst = max(worst, float(np.abs(_wide(array) - _wide(single)).max()))
    return worst


def batches(items: Sequence[Feeds], most: int) -> list[list[Feeds]]:
    """Items of equal shapes together, at most `most`; the biggest batch first, a lone item with itself."""
    by_shape: dict[tuple[tuple[int, ...], ...], list[Feeds]] = {}
    for item in items:
        by_shape.setdefault(tuple(array.shape for array in item.values()), []).append(item)
    cut = [group[at : at + most] for group in by_shape.values() for at in range(0, len(group), most)]
    return sorted((batch if len(batch) > 1 else batch * 2 for batch in cut), key=len, reverse=True)


def stacked(items: Sequence[Feeds]) -> Feeds:
    """One feed of the rows of several."""
    return {name: np.concatenate([item[name] for item in items]) for name in items[0]}


def biggest_gap(want: Mapping[str, Array], got: Mapping[str, Array]) -> float:
    """Biggest absolute difference between two answers; infinite where shapes differ."""
    return max(_gap(array, got[name]) for name, array in want.items())


def biggest_value(array: Array) -> float:
    """Biggest magnitude among its finite values; 0.0 where it has none."""
    values = np.abs(_wide(array))
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else 0.0


def _gap(want: Array, got: Array) -> float:
    if want.shape != got.shape:
        return float("inf")
    if want.size == 0:
        return 0.0
    left, right = _wide(want), _wide(got)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        gaps = np.where(same, 0.0, np.abs(left - right))
    return float(np.nan_to_num(gaps, nan=np.inf).max())


def _relative(want: Sequence[Outputs], got: Sequence[Outputs]) -> float:
    worst = 0.0
    for name in want[0]:
        scale = max(biggest_value(outputs[name]) for outputs in want)
        gap = max(_gap(left[name], right[name]) for left, right in zip(want, got, strict=True))
        worst = max(worst, gap / scale if scale else (0.0 if gap == 0 else float("inf")))
    return worst


def _wide(array: Array) -> Array:
    return array.astype(np.float64)


def _first(outputs: Outputs) -> Array:
    return _wide(next(iter(outputs.values()))).ravel()


def _cosine(left: Array, right: Array) -> float:
    norms = float(np.linalg.norm(left) * np.linalg.norm(right))
    return float(left @ right) / norms if norms and np.isfinite(norms) else 0.0
