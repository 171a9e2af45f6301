"""Scores to a classification, and what may be done with one."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from trireme_common.errors import SpecError
from trireme_common.steps import Assets, Step, StepFunction
from trireme_postprocess.answers import Classification

Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]


class Labels(Step):
    """Names the classes; the label is the one with the highest probability. Without names or a
    file they are called "0", "1", ... A model without this step gets it in that form."""

    name: ClassVar[str] = "labels"
    takes: ClassVar[tuple[str, ...]] = ("scores",)
    gives: ClassVar[str | None] = "classification"

    names: Names | None = Field(default=None, description="The names, in the order of the model's classes.")
    file: str | None = Field(
        default=None, description="A file beside the model instead: a JSON list, or one name a line (UTF-8)."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.names is not None and self.file is not None:
            raise ValueError("give names or file, not both")
        return self

    def prepare(self, assets: Assets) -> StepFunction:
        names = _read_names(assets, self.file) if self.file is not None else self.names
        if names is not None and len(set(names)) != len(names):
            raise SpecError("two classes have the same label")

        def apply(scores: np.ndarray) -> Classification:
            return Classification.of(names or tuple(map(str, range(scores.size))), scores)

        return apply


class Threshold(Step):
    """Answers with another label where the best probability is too low. The probabilities stay;
    confidence becomes that label's own probability (0 for a label the model does not know)."""

    name: ClassVar[str] = "threshold"
    takes: ClassVar[tuple[str, ...]] = ("classification",)

    minimum: float = Field(ge=0, le=1, description="The best probability that is still believed.")
    otherwise: str = Field(description="The label to answer with below it.")

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(answer: Classification) -> Classification:
            return answer if answer.confidence >= self.minimum else answer.answer(self.otherwise)

        return apply


class TopK(Step):
    """Only the k most probable labels, the most probable first."""

    name: ClassVar[str] = "top_k"
    takes: ClassVar[tuple[str, ...]] = ("classification",)

    k: int = Field(ge=1, description="How many labels stay.")

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(answer: Classification) -> Classification:
            return answer.keep(_by_probability(answer)[: self.k])

        return apply


class Filter(Step):
    """Drops labels from the probabilities. The answer stays, and so does its own entry."""

    name: ClassVar[str] = "filter"
    takes: ClassVar[tuple[str, ...]] = ("classification",)

    min_probability: float = Field(default=0.0, ge=0, le=1, description="Less probable labels are dropped.")
    labels: Names | None = Field(default=None, description="Only these labels stay; all by default.")

    def prepare(self, assets: Assets) -> StepFunction:
        allowed = None if self.labels is None else frozenset(self.labels)

        def stays(answer: Classification, position: int) -> bool:
            label = answer.labels[position]
            if label == answer.label:
                return True
            probable = answer.probabilities[position] >= self.min_probability
            return probable and (allowed is None or label in allowed)

        def apply(answer: Classification) -> Classification:
            return answer.keep(position for position in range(len(answer.labels)) if stays(answer, position))

        return apply


class Sort(Step):
    """Orders the labels in the answer."""

    name: ClassVar[str] = "sort"
    takes: ClassVar[tuple[str, ...]] = ("classification",)

    by: Literal["probability", "label"] = Field(
        default="probability", description="probability: highest first; label: alphabetically."
    )

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(answer: Classification) -> Classification:
            if self.by == "label":
                return answer.keep(sorted(range(len(answer.labels)), key=answer.labels.__getitem__))
            return answer.keep(_by_probability(answer))

        return apply


def _by_probability(answer: Classification) -> list[int]:
    return sorted(range(len(answer.labels)), key=lambda position: -answer.probabilities[position])


def _read_names(assets: Assets, file: str) -> tuple[str, ...]:
    if file.endswith(".json"):
        names = assets.json(file)
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise SpecError(f"asset {file!r} must be a JSON list of labels")
        return tuple(names)
    try:
        lines = assets.path(file).read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SpecError(f"asset {file!r} is not UTF-8") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise SpecError(f"asset {file!r} names no labels")
    return names
