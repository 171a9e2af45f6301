"""Scores to scores: logits become probabilities (float64 [C])."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from trireme_common.errors import Code, ItemError
from trireme_common.steps import Assets, Step, StepFunction


class Softmax(Step):
    """Logits to probabilities that sum to 1."""

    name: ClassVar[str] = "softmax"
    takes: ClassVar[tuple[str, ...]] = ("scores",)

    temperature: float = Field(
        default=1.0, gt=0, description="Divides the logits first; above 1 the answer becomes less sure."
    )

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(logits: np.ndarray) -> np.ndarray:
            _check(logits)
            powers = np.exp((logits - logits.max()) / self.temperature)
            return np.asarray(powers / powers.sum())

        return apply


class Sigmoid(Step):
    """Logits to probabilities, each on its own: one logit gives two classes (1 - p, p), several
    are one-against-the-rest scores, brought to the sum 1."""

    name: ClassVar[str] = "sigmoid"
    takes: ClassVar[tuple[str, ...]] = ("scores",)

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(logits: np.ndarray) -> np.ndarray:
            _check(logits)
            # tanh does not overflow where exp would.
            each = 0.5 * (1.0 + np.tanh(0.5 * logits))
            if each.size == 1:
                return np.array([1.0 - each[0], each[0]])
            total = each.sum()
            return np.asarray(each / total) if total > 0 else np.full(each.size, 1.0 / each.size)

        return apply


def _check(logits: np.ndarray) -> None:
    if logits.ndim != 1 or not logits.size:
        raise ItemError(Code.MODEL_FAILED, f"expected scores, the model gave shape {list(logits.shape)}")
    if not np.isfinite(logits).all():
        raise ItemError(Code.MODEL_FAILED, "the model gave a score that is not finite")
