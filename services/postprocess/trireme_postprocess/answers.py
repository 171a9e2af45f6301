"""What a classification chain hands to the servicer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from trireme_common.errors import Code, ItemError


@dataclass(frozen=True)
class Classification:
    """Labels of one item with their probabilities (float64, summing to 1 unless some were dropped).

    `classes` are the model's own class indices, so they outlive sorting and filtering; -1 is a
    label the model does not know. `label`, `confidence` and `index` are those of the answer.
    """

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    classes: tuple[int, ...]
    label: str
    confidence: float
    index: int

    @classmethod
    def of(cls, labels: tuple[str, ...], scores: np.ndarray) -> Classification:
        """From scores [C], not negative, brought to the sum 1; the label is their argmax.

        Raises ItemError(MODEL_FAILED) where they are no probabilities of just these labels.
        """
        if scores.shape != (len(labels),):
            raise ItemError(
                Code.MODEL_FAILED, f"the model gave {scores.size} scores for {len(labels)} labels"
            )
        probabilities = np.where((scores < 0) & (scores > -1e-6), 0.0, scores.astype(np.float64))
        total = float(probabilities.sum())
        if not np.isfinite(total) or total <= 0 or probabilities.min() < 0:
            raise ItemError(
                Code.MODEL_FAILED, "the model's scores are no probabilities; softmax or sigmoid first"
            )
        probabilities = probabilities / total
        best = int(probabilities.argmax())
        shares = tuple(probabilities.tolist())
        return cls(labels, shares, tuple(range(len(labels))), labels[best], shares[best], best)

    @property
    def by_label(self) -> dict[str, float]:
        """Probability of each label, in order."""
        return dict(zip(self.labels, self.probabilities, strict=True))

    def keep(self, positions: Iterable[int]) -> Classification:
        """Only the entries at `positions`, in that order; the answer itself does not change."""
        chosen = tuple(positions)
        return replace(
            self,
            labels=tuple(self.labels[position] for position in chosen),
            probabilities=tuple(self.probabilities[position] for position in chosen),
            classes=tuple(self.classes[position] for position in chosen),
        )

    def answer(self, label: str) -> Classification:
        """The same probabilities with `label` as the answer; an unknown label joins with probability 0."""
        if label not in self.labels:
            widened = replace(
                self,
                labels=(*self.labels, label),
                probabilities=(*self.probabilities, 0.0),
                classes=(*self.classes, -1),
            )
            return replace(widened, label=label, confidence=0.0, index=-1)
        position = self.labels.index(label)
        return replace(
            self, label=label, confidence=self.probabilities[position], index=self.classes[position]
        )
