"""What was checked of a version is what is opened of it later, or nothing is."""

import hashlib
from pathlib import Path

import pytest

from tests.support.onnx_models import write_version
from trireme_common.errors import SpecError
from trireme_common.repository import scan
from trireme_inference.content import Content


def content_of(models: Path) -> Content:
    (files,) = scan(models).versions
    return Content.of(files)


def test_the_same_bytes_are_unchanged_whenever_they_were_written(tmp_path: Path) -> None:
    model = write_version(tmp_path, "m", 1, b"weights") / "model.onnx"
    content = content_of(tmp_path)
    content.require_unchanged()
    model.unlink()
    model.write_bytes(b"weights")
    content.require_unchanged()


@pytest.mark.parametrize("name", ["model.onnx", "more.bin"])
def test_other_bytes_and_more_files_are_told(tmp_path: Path, name: str) -> None:
    directory = write_version(tmp_path, "m", 1, b"weights")
    content = content_of(tmp_path)
    (directory / name).write_bytes(b"weighty")
    with pytest.raises(SpecError, match=f"files in {directory} have changed since they were checked"):
        content.require_unchanged()


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    model = write_version(tmp_path, "m", 1, b"weights") / "model.onnx"
    content = content_of(tmp_path)
    model.unlink()
    with pytest.raises(SpecError, match="have changed"):
        content.require_unchanged()


def test_a_digest_that_model_yaml_pins_is_told_by_its_file(tmp_path: Path) -> None:
    pin = hashlib.sha256(b"weights").hexdigest()
    spec = f"digests: {{1/model.onnx: {pin}}}\n"
    model = write_version(tmp_path, "m", 1, b"weights", spec=spec) / "model.onnx"
    content = content_of(tmp_path)
    model.write_bytes(b"others")
    with pytest.raises(SpecError, match=f"{model}: SHA-256 is .*, but model.yaml pins {pin}"):
        content.require_unchanged()
