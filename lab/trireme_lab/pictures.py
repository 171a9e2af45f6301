"""Handwritten digits of scikit-learn as the picture files that people upload."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from PIL import Image

Picture = Callable[[np.ndarray], bytes]
_OPTIONS = {"JPEG": {"quality": 90}, "PNG": {"compress_level": 1}}


def grey(digit: np.ndarray) -> np.ndarray:
    """uint8 [8, 8], white on black, from the set's values 0..16."""
    return np.rint(digit * (255 / 16)).astype(np.uint8)


def encode(pixels: np.ndarray, form: str = "PNG") -> bytes:
    """The file of a grey picture: JPEG at quality 90, or PNG, packed fast rather than small."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, form, **_OPTIONS[form])
    return file.getvalue()


def upscaled(pixels: np.ndarray, side: int, resample: Image.Resampling) -> np.ndarray:
    """The picture at `side` x `side` pixels."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), resample))


def with_margins(pixels: np.ndarray, top: float, right: float, bottom: float, left: float) -> np.ndarray:
    """The picture with black margins, each a share of its side."""
    side = pixels.shape[0]
    edges = [(round(top * side), round(bottom * side)), (round(left * side), round(right * side))]
    return np.pad(pixels, edges)


_NEAREST, _BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BICUBIC


def _picture(side: int, resample: Image.Resampling, form: str, *, ink: bool, margins: bool) -> Picture:
    def make(digit: np.ndarray) -> bytes:
        pixels = grey(digit)
        if side != 8:
            pixels = upscaled(pixels, side, resample)
        if margins:
            pixels = with_margins(pixels, 0.5, 0.25, 0.25, 1.0)
        return encode(255 - pixels if ink else pixels, form)

    return make


def variants() -> Mapping[str, Picture]:
    """Every form that the stated accuracy covers, by name."""
    scales = {"original": (8, _NEAREST)}
    for side in (28, 64, 280):
        scales |= {f"{side}x{side}-nearest": (side, _NEAREST), f"{side}x{side}-bicubic": (side, _BICUBIC)}
    found: dict[str, Picture] = {}
    for scale, (side, resample) in scales.items():
        for form in ("PNG", "JPEG"):
            for ink in (False, True):
                name = f"{scale}-{form.lower()}-{'black-on-white' if ink else 'white-on-black'}"
                found[name] = _picture(side, resample, form, ink=ink, margins=False)
                if form == "PNG":
                    found[f"{name}-margins"] = _picture(side, resample, form, ink=ink, margins=True)
    return found
