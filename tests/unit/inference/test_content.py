"""What was checked of a version is what is opened of it later, or nothing is."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import onnx_models
from tests.support.onnx_models import write_version
from trireme_common.errors import SpecError
from trireme_common.repository import scan, sha256
from trireme_inference.content import Content

TORCH = "backend: torch\n"
TRITON = 'platform: "onnxruntime_onnx"\ndefault_model_filename: "main"\n'


def content_of(models: Path, digest_of: Callable[[Path], str] = sha256) -> Content:
    (files,) = scan(models).versions
    return Content.of(files, digest_of)


def test_the_same_bytes_are_unchanged_whenever_they_were_written(tmp_path: Path) -> None:
    model = write_version(tmp_path, "m", 1, b"weights") / "model.onnx"
    content = content_of(tmp_path)
    content.require_unchanged()
    model.unlink()
    model.write_bytes(b"weights")
    content.require_unchanged()


@pytest.mark.parametrize("name", ["model.onnx", "weights"])
def test_another_model_file_and_other_weights_beside_it_are_told(tmp_path: Path, name: str) -> None:
    directory = write_version(tmp_path, "m", 1, onnx_models.with_external_data("weights"))
    (directory / "weights").write_bytes(bytes(16))
    content = content_of(tmp_path)
    content.require_unchanged()
    (directory / name).write_bytes(b"others of 16 b.s")
    with pytest.raises(SpecError, match=f"{directory / name} has changed since it was checked"):
        content.require_unchanged()


def test_the_files_of_a_torch_model_are_told(tmp_path: Path) -> None:
    directory = write_version(tmp_path, "m", 1, b"unused", spec=TORCH)
    (directory / "model.pt2").write_bytes(b"program")
    content = content_of(tmp_path)
    (directory / "model.onnx").write_bytes(b"other")
    content.require_unchanged()
    (directory / "model.pt2").write_bytes(b"another")
    with pytest.raises(SpecError, match=r"model\.pt2 has changed"):
        content.require_unchanged()


def test_a_model_in_a_folder_under_a_name_of_its_own_is_told(tmp_path: Path) -> None:
    directory = write_version(tmp_path, "m", 1, b"unused")
    (directory.parent / "config.pbtxt").write_text(TRITON)
    (directory / "main").mkdir()
    (directory / "main" / "model.onnx").write_bytes(onnx_models.with_external_data("weights"))
    (directory / "main" / "weights").write_bytes(bytes(16))
    content = content_of(tmp_path)
    (directory / "model.onnx").write_bytes(b"other")
    content.require_unchanged()
    (directory / "main" / "weights").write_bytes(b"others of 16 b.s")
    with pytest.raises(SpecError, match="main/weights has changed"):
        content.require_unchanged()


def test_what_no_process_opens_may_change_and_go(tmp_path: Path) -> None:
    spec = f"digests: {{1/vocabulary.txt: {hashlib.sha256(b'a b').hexdigest()}}}\n"
    directory = write_version(tmp_path, "m", 1, onnx_models.scale(2.0), spec=spec, golden={})
    (directory / "vocabulary.txt").write_bytes(b"a b")
    content = content_of(tmp_path)
    (directory / "vocabulary.txt").write_bytes(b"a c")
    (directory / "README.md").write_text("more")
    (directory / "golden.json").unlink()
    content.require_unchanged()


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    model = write_version(tmp_path, "m", 1, b"weights") / "model.onnx"
    content = content_of(tmp_path)
    model.unlink()
    with pytest.raises(SpecError, match="cannot be read again"):
        content.require_unchanged()


def test_what_has_changed_is_read_once_until_it_changes_again(tmp_path: Path) -> None:
    read: list[str] = []

    def digest_of(path: Path) -> str:
        read.append(path.name)
        return sha256(path)

    model = write_version(tmp_path, "m", 1, b"weights") / "model.onnx"
    content = content_of(tmp_path, digest_of)
    for changed in (b"others", b"and others"):
        read.clear()
        model.write_bytes(changed)
        for _ in range(3):
            with pytest.raises(SpecError, match="has changed"):
                content.require_unchanged()
        assert read == ["model.onnx"]
    model.write_bytes(b"weights")
    read.clear()
    for _ in range(2):
        content.require_unchanged()
    assert read == ["model.onnx"] * 2  # good files are always read


def test_a_version_that_is_a_link_stays_where_it_led(tmp_path: Path) -> None:
    models, kept = tmp_path / "models", tmp_path / "kept"
    for name in ("old", "new"):
        (kept / name).mkdir(parents=True)
        (kept / name / "model.onnx").write_text(name)
    (models / "m").mkdir(parents=True)
    (models / "m" / "1").symlink_to(kept / "old")
    content = content_of(models)
    (models / "m" / "1").unlink()
    (models / "m" / "1").symlink_to(kept / "new")
    content.require_unchanged()
    (kept / "old" / "model.onnx").write_text("odd")
    with pytest.raises(SpecError, match="has changed"):
        content.require_unchanged()
