"""Image to image. An image is a ndarray [H, W] or [H, W, C], uint8 or float32."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from trireme_common.steps import Assets, Step, StepFunction

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class ImageStep(Step):
    """Base of the steps that take an image and give one."""

    takes: ClassVar[tuple[str, ...]] = ("image",)
    gives: ClassVar[str | None] = "image"


class Resize(ImageStep):
    """The image scaled to a size, or to fit one with its proportions kept."""

    name: ClassVar[str] = "resize"

    height: int = Field(ge=1, le=8192, description="Height in pixels.")
    width: int = Field(ge=1, le=8192, description="Width in pixels.")
    fit: Literal["stretch", "inside", "cover"] = Field(
        default="stretch",
        description="stretch: this size; inside: largest that fits in it; cover: smallest that fills it.",
    )
    resample: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = Field(
        default="bilinear",
        description="Filter; all but nearest average over the source pixels when they shrink.",
    )

    def prepare(self, assets: Assets) -> StepFunction:
        resample = _FILTERS[self.resample]

        def apply(image: np.ndarray) -> np.ndarray:
            size = self._target(*image.shape[:2])
            if size == (image.shape[1], image.shape[0]):
                return image
            if image.dtype == np.uint8:
                return np.asarray(Image.fromarray(image).resize(size, resample))
            return _resize_float(image, size, resample)

        return apply

    def _target(self, height: int, width: int) -> tuple[int, int]:
        """(width, height) of the result, in Pillow's order."""
        if self.fit == "stretch":
            return self.width, self.height
        pick = min if self.fit == "inside" else max
        factor = pick(self.width / width, self.height / height)
        least = (1, 1) if self.fit == "inside" else (self.width, self.height)
        most = (self.width, self.height) if self.fit == "inside" else (8 * self.width, 8 * self.height)
        return (
            min(max(round(width * factor), least[0]), most[0]),
            min(max(round(height * factor), least[1]), most[1]),
        )


class CenterCrop(ImageStep):
    """The middle of the image; where the image is smaller, the rest is filled."""

    name: ClassVar[str] = "center_crop"

    height: int = Field(ge=1, le=8192, description="Height in pixels.")
    width: int = Field(ge=1, le=8192, description="Width in pixels.")
    fill: float = Field(default=0, ge=0, le=255, description="Value outside the image.")

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(image: np.ndarray) -> np.ndarray:
            top = max(0, (image.shape[0] - self.height) // 2)
            left = max(0, (image.shape[1] - self.width) // 2)
            middle = image[top : top + self.height, left : left + self.width]
            return _pad_to(middle, self.height, self.width, self.fill)

        return apply


class Pad(ImageStep):
    """The image in the middle of a larger one. It is never made smaller."""

    name: ClassVar[str] = "pad"

    height: int | None = Field(default=None, ge=1, le=8192, description="Least height in pixels.")
    width: int | None = Field(default=None, ge=1, le=8192, description="Least width in pixels.")
    square: bool = Field(
        default=False, description="Pad the shorter side to the longer one, after the border."
    )
    border: float = Field(
        default=0, ge=0, le=4, description="Border on every side first, as a share of the longer side."
    )
    fill: float = Field(default=0, ge=0, le=255, description="Value outside the image.")

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(image: np.ndarray) -> np.ndarray:
            height, width = image.shape[:2]
            extra = 2 * math.ceil(self.border * max(height, width))
            height, width = height + extra, width + extra
            if self.square:
                height = width = max(height, width)
            return _pad_to(image, max(height, self.height or 0), max(width, self.width or 0), self.fill)

        return apply


class LightOnDark(ImageStep):
    """The uint8 image, inverted if its border is lighter than the middle of its range: what is
    drawn ends up light on a dark ground, whichever way it came."""

    name: ClassVar[str] = "light_on_dark"

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(image: np.ndarray) -> np.ndarray:
            border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
            low, high = int(image.min()), int(image.max())
            return 255 - image if 2 * float(np.median(border)) > low + high else image

        return apply


class StretchContrast(ImageStep):
    """The uint8 image with its darkest value at 0 and its lightest at 255; one that is nearly flat
    stays as it is."""

    name: ClassVar[str] = "stretch_contrast"

    min_range: int = Field(
        default=16, ge=1, le=255, description="Images with a smaller range are left alone."
    )

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(image: np.ndarray) -> np.ndarray:
            low, high = int(image.min()), int(image.max())
            if high - low < self.min_range or (low, high) == (0, 255):
                return image
            stretched = (image.astype(np.float32) - low) * (255.0 / (high - low))
            return np.asarray(np.rint(stretched).astype(np.uint8))

        return apply


class CropToContent(ImageStep):
    """The smallest rectangle of a light-on-dark image that holds all that is lighter than the
    threshold, so that margins and position do not matter. An empty image stays as it is."""

    name: ClassVar[str] = "crop_to_content"

    threshold: float = Field(
        default=0.25, gt=0, lt=1, description="What counts as content, as a share of the lightest value."
    )

    def prepare(self, assets: Assets) -> StepFunction:
        def apply(image: np.ndarray) -> np.ndarray:
            content = image > self.threshold * float(image.max())
            if content.ndim == 3:
                content = np.asarray(content.any(axis=2))
            rows, columns = np.flatnonzero(content.any(axis=1)), np.flatnonzero(content.any(axis=0))
            if not len(rows):
                return image
            return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

        return apply


def _resize_float(image: np.ndarray, size: tuple[int, int], resample: Image.Resampling) -> np.ndarray:
    if image.ndim == 2:
        return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, resample))
    channels = [_resize_float(image[:, :, channel], size, resample) for channel in range(image.shape[2])]
    return np.stack(channels, axis=2)


def _pad_to(image: np.ndarray, height: int, width: int, fill: float) -> np.ndarray:
    down, right = height - image.shape[0], width - image.shape[1]
    if down <= 0 and right <= 0:
        return image
    top, left = down // 2, right // 2
    padding = [(top, down - top), (left, right - left)] + [(0, 0)] * (image.ndim - 2)
    return np.pad(image, padding, constant_values=fill)
