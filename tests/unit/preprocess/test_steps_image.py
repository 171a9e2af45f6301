"""decode_image and the steps from image to image."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from trireme_common.errors import Code, ItemError, SpecError
from trireme_common.steps import Assets, Chain
from trireme_preprocess.steps import VOCABULARY

ASSETS = Assets(Path("."))


def decoder(**parameters: Any) -> Chain:
    return VOCABULARY.build([("decode_image", parameters)], ASSETS, "bytes")


def step(name: str, **parameters: Any) -> Chain:
    return VOCABULARY.build([(name, parameters)], ASSETS, "image")


def encoded(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is large and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = (
        png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\0" * 64)) + png_chunk(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + body


def seeds() -> list[bytes]:
    grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    files = [encoded(grey.convert("RGB"), form) for form in ("PNG", "JPEG", "WEBP", "GIF", "BMP")]
    return [*files, encoded(grey, "TIFF"), encoded(grey.convert("P")), encoded(grey.convert("RGBA"), "WEBP")]


SEEDS = seeds()


class TestDecodeImage:
    @pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
    @pytest.mark.parametrize(("mode", "shape"), [("L", (6, 9)), ("RGB", (6, 9, 3))])
    def test_formats(self, form: str, mode: str, shape: tuple[int, ...]) -> None:
        image = decoder(mode=mode)(encoded(Image.new("RGB", (9, 6), (200, 200, 200)), form))
        assert image.shape == shape
        assert image.dtype == np.uint8
        assert abs(int(image.mean()) - 200) <= 2

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
    def test_modes_of_png(self, mode: str) -> None:
        white = 65535 if mode.startswith("I") else 255
        picture = (
            Image.new("L", (4, 4), 255).convert(mode) if white == 255 else Image.new(mode, (4, 4), white)
        )
        assert (decoder(mode="L")(encoded(picture)) == 255).all()

    def test_16_bit_grey_is_scaled(self) -> None:
        picture = Image.fromarray(np.full((2, 2), 32768, np.uint16))
        assert decoder(mode="L")(encoded(picture)).tolist() == [[128, 128], [128, 128]]

    def test_cmyk_jpeg(self) -> None:
        assert decoder()(encoded(Image.new("CMYK", (4, 4)), "JPEG")).shape == (4, 4, 3)

    def test_transparency_lies_on_white(self) -> None:
        clear = Image.new("RGBA", (2, 2), (0, 0, 0, 0))
        assert (decoder(mode="RGB")(encoded(clear)) == 255).all()
        assert (decoder(mode="L")(encoded(Image.new("LA", (2, 2), (0, 0)))) == 255).all()

    def test_transparent_palette_lies_on_white(self) -> None:
        picture = Image.new("P", (2, 2), 0)
        picture.putpalette([0, 0, 0, 9, 9, 9])
        assert (decoder(mode="L")(encoded(picture, transparency=0)) == 255).all()

    def test_exif_turns_upright(self) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned a quarter
        data = encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)
        assert decoder()(data).shape == (8, 4, 3)

    def test_first_frame_of_an_animation(self) -> None:
        frames = [Image.new("L", (4, 4), value) for value in (0, 255)]
        data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
        assert decoder(mode="L")(data).max() == 0

    def test_draft_decodes_a_jpeg_smaller(self) -> None:
        data = encoded(Image.new("L", (800, 640), 99), "JPEG")
        assert decoder(mode="L", draft_side=64)(data).shape == (80, 100)
        assert decoder(mode="L")(data).shape == (640, 800)

    def test_refuses_large_pictures(self) -> None:
        with pytest.raises(ItemError) as caught:
            decoder(max_pixels=100)(encoded(Image.new("L", (11, 10))))
        assert caught.value.code is Code.IMAGE_TOO_LARGE
        assert "11 x 10" in caught.value.detail

    @pytest.mark.parametrize("side", [9_000, 12_000, 30_000, 2**31 - 1])
    def test_refuses_bombs_by_their_header(self, side: int) -> None:
        with pytest.raises(ItemError) as caught:
            decoder()(png_header(side, side))
        assert caught.value.code is Code.IMAGE_TOO_LARGE

    @pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", b"%PDF-1.4", SEEDS[0][:40], SEEDS[1][:300]])
    def test_undecodable(self, data: bytes) -> None:
        with pytest.raises(ItemError) as caught:
            decoder()(data)
        assert caught.value.code is Code.UNDECODABLE_IMAGE

    def test_formats_that_are_not_listed(self) -> None:
        picture = Image.new("L", (4, 4))
        assert decoder(formats=["TIFF"])(encoded(picture, "TIFF")).shape == (4, 4, 3)
        with pytest.raises(ItemError):
            decoder()(encoded(picture, "TIFF"))
        with pytest.raises(SpecError, match="formats"):
            decoder(formats=["EPS"])

    @settings(max_examples=300, deadline=None)
    @given(
        seed=st.sampled_from(SEEDS),
        edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=30),
        cut=st.integers(0, 10**6),
    )
    def test_hostile_bytes_raise_only_item_errors(
        self, seed: bytes, edits: list[tuple[int, int]], cut: int
    ) -> None:
        data = bytearray(seed)
        for place, value in edits:
            data[place % len(data)] = value
        self.survives(bytes(data[: cut % (len(data) + 1)] if cut % 3 == 0 else data))

    @settings(deadline=None)
    @given(st.binary(max_size=300))
    @example(b"\x00" * 64)
    def test_any_bytes_raise_only_item_errors(self, data: bytes) -> None:
        self.survives(data)
        for head in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"RIFF\xff\0\0\0WEBP"):
            self.survives(head + data)

    def survives(self, data: bytes) -> None:
        refused: list[Code] = []
        for mode in ("L", "RGB"):
            try:
                image = decoder(mode=mode, max_pixels=1_000_000, draft_side=8)(data)
            except ItemError as error:
                refused.append(error.code)
            else:
                assert image.dtype == np.uint8
                assert image.ndim == (2 if mode == "L" else 3)
        assert set(refused) <= {Code.UNDECODABLE_IMAGE, Code.IMAGE_TOO_LARGE}


class TestResize:
    @pytest.mark.parametrize(
        ("fit", "shape"), [("stretch", (10, 10, 3)), ("inside", (5, 10, 3)), ("cover", (10, 20, 3))]
    )
    def test_fits(self, fit: str, shape: tuple[int, ...]) -> None:
        image = np.full((40, 80, 3), 7, np.uint8)
        result = step("resize", height=10, width=10, fit=fit)(image)
        assert result.shape == shape
        assert (result == 7).all()

    def test_extreme_proportions(self) -> None:
        strip = np.zeros((1, 5000), np.uint8)
        assert step("resize", height=10, width=10, fit="inside")(strip).shape == (1, 10)
        assert step("resize", height=10, width=10, fit="cover")(strip).shape == (10, 80)

    def test_float_images(self) -> None:
        image = np.full((4, 6, 3), 0.25, np.float32)
        result = step("resize", height=8, width=12)(image)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, 0.25)

    @pytest.mark.parametrize("resample", ["nearest", "box", "bilinear", "bicubic", "lanczos"])
    def test_filters(self, resample: str) -> None:
        assert step("resize", height=2, width=2, resample=resample)(np.zeros((4, 4), np.uint8)).shape == (
            2,
            2,
        )


class TestCenterCropAndPad:
    def test_crop_takes_the_middle(self) -> None:
        image = np.arange(25, dtype=np.uint8).reshape(5, 5)
        assert step("center_crop", height=1, width=3)(image).tolist() == [[11, 12, 13]]

    def test_crop_fills_what_is_missing(self) -> None:
        result = step("center_crop", height=4, width=2, fill=9.0)(np.zeros((2, 4, 3), np.uint8))
        assert result.shape == (4, 2, 3)
        assert result[0].max() == result[3].max() == 9
        assert result[1].max() == 0

    def test_pad_to_a_square(self) -> None:
        image = np.ones((2, 5), np.uint8)
        result = step("pad", square=True)(image)
        assert result.shape == (5, 5)
        assert result.sum() == 10
        assert result[1:3].all()

    def test_pad_border_and_size(self) -> None:
        image = np.ones((2, 4, 3), np.uint8)
        assert step("pad", border=0.25)(image).shape == (4, 6, 3)
        assert step("pad", height=9, width=1)(image).shape == (9, 4, 3)


class TestDigitSteps:
    def test_light_on_dark_inverts_ink_on_paper(self) -> None:
        paper = np.full((9, 9), 230, np.uint8)
        paper[3:6, 3:6] = 20
        dark = step("light_on_dark")(paper)
        assert dark[0, 0] == 25
        assert dark[4, 4] == 235
        assert (step("light_on_dark")(dark) == dark).all()

    @pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
    @pytest.mark.parametrize("name", ["light_on_dark", "stretch_contrast", "crop_to_content"])
    def test_tiny_and_flat_images(self, name: str, shape: tuple[int, int]) -> None:
        for value in (0, 128, 255):
            assert step(name)(np.full(shape, value, np.uint8)).size == np.prod(shape)

    def test_stretch_contrast(self) -> None:
        faint = np.array([[100, 150], [125, 100]], np.uint8)
        assert step("stretch_contrast")(faint).tolist() == [[0, 255], [128, 0]]
        assert step("stretch_contrast", min_range=60)(faint).tolist() == faint.tolist()

    def test_crop_to_content(self) -> None:
        image = np.zeros((20, 30), np.uint8)
        image[5:9, 10:12] = 200
        image[0, 0] = 40  # noise below the threshold
        assert step("crop_to_content")(image).shape == (4, 2)
        assert step("crop_to_content", threshold=0.1)(image).shape == (9, 12)
        assert step("crop_to_content")(np.stack([image] * 3, axis=2)).shape == (4, 2, 3)
