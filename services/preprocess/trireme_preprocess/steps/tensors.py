"""The last step for pictures and numbers: a named tensor, without its batch dimension."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from trireme_common.errors import Code, ItemError
from trireme_common.steps import Assets, Step, StepFunction

Layout = Literal["NCHW", "NHWC", "NHW"]


class ToTensor(Step):
    """The value as the one tensor the model takes. Numbers become FP32 [k]; an image becomes
    [C, H, W], [H, W, C] or [H, W], as uint8 (its smallest honest form) or FP32."""

    name: ClassVar[str] = "to_tensor"
    takes: ClassVar[tuple[str, ...]] = ("image", "numbers")
    gives: ClassVar[str | None] = "tensors"

    tensor: str = Field(default="input", min_length=1, description="Name of the model's input.")
    layout: Layout = Field(default="NCHW", description="Order of an image's axes, N being the batch.")
    datatype: Literal["UINT8", "FP32"] = Field(default="FP32", description="Type of the tensor.")
    scale: float = Field(default=1.0, description="Multiplies the values of an FP32 tensor, e.g. 1/255.")

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(values: np.ndarray) -> dict[str, np.ndarray]:
            arranged = values if values.ndim == 1 else _arrange(values, self.layout)
            convert = _to_uint8 if self.datatype == "UINT8" else self._to_fp32
            return {self.tensor: np.ascontiguousarray(convert(arranged))}

        return apply

    def _to_fp32(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            tensor = (values * self.scale if self.scale != 1.0 else values).astype(np.float32)
        if values.ndim == 1 and not np.isfinite(tensor).all():
            raise ItemError(Code.NON_FINITE_NUMBER, "a number is not finite as a 32-bit float")
        return np.asarray(tensor)


def _arrange(image: np.ndarray, layout: Layout) -> np.ndarray:
    if layout == "NHW":
        if image.ndim != 2:
            raise ItemError(Code.WRONG_SHAPE, f"layout NHW takes a grey image, got {image.shape[2]} channels")
        return image
    with_channels = image if image.ndim == 3 else image[:, :, np.newaxis]
    return with_channels if layout == "NHWC" else with_channels.transpose(2, 0, 1)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return values
    return np.asarray(np.rint(np.clip(np.nan_to_num(values), 0, 255)).astype(np.uint8))
