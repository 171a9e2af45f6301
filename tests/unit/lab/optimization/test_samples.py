"""Items of a file become what the platform would make of them."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trireme_common.repository import VersionFiles, scan
from trireme_inference.golden import read_golden
from trireme_lab.failure import LabFailure
from trireme_lab.optimization.samples import of_file, of_golden

MODELS = Path(__file__).resolve().parents[4] / "models"


def _files(name: str) -> VersionFiles:
    return next(files for files in scan(MODELS).versions if files.spec.name == name)


def _write(path: Path, *items: object) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in items) + "\n")
    return path


def _picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.eye(12, dtype=np.uint8) * 255).save(file, "PNG")
    return file.getvalue()


def test_texts_and_the_half_that_is_held_back(tmp_path: Path) -> None:
    samples = of_file(_write(tmp_path / "s.jsonl", "很好", "很差", "一般"), _files("sentiment-zh"))

    assert [sorted(item) for item in samples.items] == [["counts", "ids"]] * 3
    assert samples.items[0]["ids"].shape == (1, 64)
    assert (len(samples.calibration), len(samples.held_out)) == (2, 1)


def test_pictures_by_path_and_by_content(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_picture())
    inline = {"b64": base64.b64encode(_picture()).decode()}

    by_path, by_content = of_file(_write(tmp_path / "s.jsonl", "a.png", inline), _files("digits")).items

    assert by_path["image"].shape == (1, 1, 20, 20)
    np.testing.assert_array_equal(by_path["image"], by_content["image"])


def test_numbers_and_tensors(tmp_path: Path) -> None:
    rows = {"name": "input", "shape": [2, 10], "datatype": "FP32", "data": [0.5] * 20}
    samples = of_file(_write(tmp_path / "s.jsonl", [1.0] * 10, {"inputs": [rows]}), _files("tabular"))

    assert [item["input"].shape for item in samples.items] == [(1, 10)] * 3


@pytest.mark.parametrize(
    ("model", "item", "words"),
    [
        ("tabular", [1.0, 2.0], "line 2: 2 numbers, but the model takes 10"),
        ("sentiment-zh", 5, "line 2: no text-classification item: a text is expected"),
        ("sentiment-zh", " ", "line 2: the text is blank"),
        ("digits", "missing.png", "line 2: no image-classification item"),
        ("digits", {"b64": "####"}, "line 2: no image-classification item"),
    ],
)
def test_a_line_that_is_no_item(model: str, item: object, words: str, tmp_path: Path) -> None:
    good = {"inputs": [{"name": "n", "shape": [1, 1], "datatype": "FP32", "data": [0]}]}
    with pytest.raises(LabFailure, match=words):
        of_file(_write(tmp_path / "s.jsonl", good, item), _files(model))


def test_one_item_cannot_be_halved(tmp_path: Path) -> None:
    with pytest.raises(LabFailure, match="has 1 items"):
        of_file(_write(tmp_path / "s.jsonl", [1.0] * 10), _files("tabular"))


def test_the_rows_of_the_golden_request() -> None:
    samples = of_golden(read_golden(MODELS / "tabular" / "golden.json"))

    assert [item["input"].shape for item in samples.items] == [(1, 10)] * 4
    assert samples.calibration == samples.held_out == samples.items
