from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from trireme_cli.loadtest import samples


def test_texts_and_rows_are_distinct_and_always_the_same() -> None:
    assert len(set(samples.texts())) == samples.TEXTS
    assert samples.texts(5) == samples.texts(5)
    rows = samples.rows(10)
    assert len(set(rows)) == samples.ROWS
    assert {len(row) for row in rows} == {10}


def test_pictures_are_png_files() -> None:
    pictures = samples.pictures()
    assert len(set(pictures)) == samples.PICTURES
    with Image.open(io.BytesIO(pictures[0])) as picture:
        picture.load()
        assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (96, 96))
        assert np.asarray(picture).max() >= 128


def test_pixels_come_back_from_a_png() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with Image.open(io.BytesIO(samples.png(pixels))) as picture:
        assert np.array_equal(np.asarray(picture), pixels)


@pytest.mark.parametrize("datatype", ["FP32", "FP16", "FP64", "INT8", "INT32", "INT64", "UINT8", "BOOL"])
def test_tensors_have_one_row_and_eight_where_the_model_leaves_it_free(datatype: str) -> None:
    made = samples.tensor(datatype, [-1, 3, -1], 0)
    assert made.shape == (1, 3, 8)
    assert not np.array_equal(made, samples.tensor(datatype, [-1, 3, -1], 1))


def test_bytes_are_texts() -> None:
    assert samples.tensor("BYTES", [-1, 2], 7).tolist() == [[b"text 7", b"text 7"]]


def test_what_cannot_be_made_up() -> None:
    with pytest.raises(ValueError, match="BF16"):
        samples.tensor("BF16", [1], 0)
