"""Vector to vector (float64 [k]): embeddings and regression values."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from trireme_common.errors import Code, ItemError
from trireme_common.steps import Assets, Step, StepFunction

Floats = Annotated[tuple[float, ...], Field(strict=False, min_length=1)]


class VectorStep(Step):
    """Base of the steps that take a vector and give one."""

    takes: ClassVar[tuple[str, ...]] = ("vector",)
    gives: ClassVar[str | None] = "vector"


class Normalize(VectorStep):
    """The vector at length 1 (L2), as embeddings are compared; a zero vector stays zero."""

    name: ClassVar[str] = "normalize"

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(vector: np.ndarray) -> np.ndarray:
            largest = float(np.abs(vector).max(initial=0.0))
            if largest == 0.0 or not np.isfinite(largest):
                return vector
            within = vector / largest  # the squares of very small or large numbers leave float64
            return np.asarray(within / np.linalg.norm(within))

        return apply


class Scale(VectorStep):
    """value * std + mean: undoes the standardisation of a regression's target."""

    name: ClassVar[str] = "scale"

    mean: Floats = Field(description="Mean of each value; one serves all.")
    std: Floats = Field(description="Standard deviation of each value; one serves all.")

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} values, std has {len(self.std)}")
        return self

    def prepare(self, assets: Assets) -> StepFunction:
        mean, std = np.array(self.mean), np.array(self.std)

        def apply(vector: np.ndarray) -> np.ndarray:
            if len(mean) not in (1, len(vector)):
                raise ItemError(
                    Code.MODEL_FAILED, f"scale has {len(mean)} values, the model gave {len(vector)}"
                )
            return np.asarray(vector * std + mean)

        return apply


class Round(VectorStep):
    """Every value rounded to so many decimal digits."""

    name: ClassVar[str] = "round"

    digits: int = Field(default=4, ge=0, le=15, description="Decimal digits that stay.")

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(vector: np.ndarray) -> np.ndarray:
            # Python's own rounding: numpy scales by a power of ten and turns large values to infinity.
            return np.array([round(value, self.digits) for value in vector.tolist()])

        return apply
