"""Picture bytes to an image, never trusting the bytes."""

from __future__ import annotations

import contextlib
from io import BytesIO
from typing import Annotated, ClassVar, Literal

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field

from trireme_common.errors import Code, ItemError
from trireme_common.steps import Assets, Step, StepFunction

Format = Literal["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}


class DecodeImage(Step):
    """The first frame of a picture file as uint8 [H, W] (mode L) or [H, W, 3] (mode RGB): turned
    upright as its EXIF data says, transparency laid on white, 16-bit grey scaled to 8.

    The size is read from the file's header and refused before any pixel is decoded."""

    name: ClassVar[str] = "decode_image"
    takes: ClassVar[tuple[str, ...]] = ("bytes",)
    gives: ClassVar[str | None] = "image"

    mode: Literal["L", "RGB"] = Field(default="RGB", description="Grey or colour.")
    max_pixels: int = Field(
        default=50_000_000, ge=1, le=80_000_000, description="Larger pictures (width x height) are refused."
    )
    formats: Annotated[tuple[Format, ...], Field(strict=False, min_length=1)] = Field(
        default=("PNG", "JPEG", "WEBP", "GIF", "BMP"),
        description="File formats that are read; others are refused.",
    )
    draft_side: int | None = Field(
        default=None,
        ge=1,
        description="JPEG only: the decoder halves the picture while both sides stay this long; much faster.",
    )

    def prepare(self, assets: Assets) -> StepFunction:
        Image.init()

        def apply(data: bytes) -> np.ndarray:
            try:
                with Image.open(BytesIO(data), formats=self.formats) as picture:
                    self._check_size(*picture.size)
                    if self.draft_side is not None:
                        picture.draft(self.mode, (self.draft_side, self.draft_side))
                    picture.load()
                    return _pixels(picture, self.mode)
            except ItemError:
                raise
            except _BOMBS as error:
                detail = f"the picture has more than {self.max_pixels} pixels"
                raise ItemError(Code.IMAGE_TOO_LARGE, detail) from error
            except Exception as error:  # hostile bytes make the decoders raise nearly anything
                detail = f"not a readable picture in one of the formats {', '.join(self.formats)}"
                raise ItemError(Code.UNDECODABLE_IMAGE, detail) from error

        return apply

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            detail = f"the picture has {width} x {height} pixels, more than {self.max_pixels}"
            raise ItemError(Code.IMAGE_TOO_LARGE, detail)


def _pixels(picture: Image.Image, mode: str) -> np.ndarray:
    with contextlib.suppress(Exception):  # broken EXIF data says nothing about the picture
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith("I"):
        picture = _to_8_bits(picture)
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        picture = _on_white(picture)
    return np.array(picture if picture.mode == mode else picture.convert(mode), dtype=np.uint8)


def _to_8_bits(picture: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey; Pillow's own conversion would cut everything above 255 to white."""
    values = np.clip(np.asarray(picture, dtype=np.int64), 0, 65535)
    return Image.fromarray((values >> 8).astype(np.uint8))


def _on_white(picture: Image.Image) -> Image.Image:
    layer = picture.convert("RGBA")
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layer).convert("RGB")
