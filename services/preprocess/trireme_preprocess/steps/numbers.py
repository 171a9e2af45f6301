"""Arithmetic on lists of numbers (float64 [k]) and on images."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from trireme_common.errors import Code, ItemError
from trireme_common.steps import Assets, Step, StepFunction

Floats = Annotated[tuple[float, ...], Field(strict=False, min_length=1)]


class Standardize(Step):
    """(value - mean) / std: each number with its own mean and std, an image channel by channel.
    Images come out as float32."""

    name: ClassVar[str] = "standardize"
    takes: ClassVar[tuple[str, ...]] = ("numbers", "image")

    mean: Floats = Field(description="Mean of each number or channel; one value serves all.")
    std: Floats = Field(description="Standard deviation of each number or channel, none of them 0.")
    scale: float = Field(
        default=1.0, gt=0, description="Multiplies the values first, e.g. 1/255 for pictures."
    )

    @model_validator(mode="after")
    def _paired(self) -> Self:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} values, std has {len(self.std)}")
        if not all(np.isfinite(self.mean)) or not all(value > 0 and np.isfinite(value) for value in self.std):
            raise ValueError("mean must be finite, std finite and above 0")
        return self

    def prepare(self, assets: Assets) -> StepFunction:
        mean, std = np.array(self.mean), np.array(self.std)
        image_factor = (self.scale / std).astype(np.float32)
        image_shift = (mean / std).astype(np.float32)

        def apply(values: np.ndarray) -> np.ndarray:
            if values.ndim == 1:
                _check_length(len(values), len(mean), "numbers")
                with np.errstate(over="ignore"):  # to_tensor refuses what is not finite
                    return np.asarray((values * self.scale - mean) / std)
            _check_length(values.shape[2] if values.ndim == 3 else 1, len(mean), "channels")
            return np.asarray(values.astype(np.float32) * image_factor - image_shift)

        return apply


class Clip(Step):
    """Every number or pixel, brought inside a range."""

    name: ClassVar[str] = "clip"
    takes: ClassVar[tuple[str, ...]] = ("numbers", "image")

    minimum: float = Field(description="Lower values become this one.")
    maximum: float = Field(description="Higher values become this one.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.minimum < self.maximum:
            raise ValueError("minimum must be below maximum")
        return self

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(values: np.ndarray) -> np.ndarray:
            clipped = np.clip(values.astype(np.float64), self.minimum, self.maximum)
            return np.asarray(clipped.astype(values.dtype))

        return apply


def _check_length(found: int, wanted: int, what: str) -> None:
    if wanted not in (1, found):
        raise ItemError(Code.WRONG_SHAPE, f"expected {wanted} {what}, got {found}")
