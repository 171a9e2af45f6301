"""Versions enter the repository whole, or not at all."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.support import onnx_models
from trireme_lab import draft
from trireme_lab.failure import LabFailure

SPEC = "name: m\n# why\nbatching:\n  max_batch_size: 4\n"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    model = tmp_path / "models" / "m"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.onnx").write_bytes(onnx_models.scale(2.0))
    return model


def _pins(target: Path, *lines: str) -> None:
    (target / "model.yaml").write_text(SPEC + "digests:\n" + "".join(f"{line}\n" for line in lines))


def test_published_at_once_and_nothing_else_is_left(target: Path) -> None:
    with draft.open_draft(target, 2) as made:
        (made.directory / "model.onnx").write_bytes(onnx_models.scale(3.0))
        draft.check(made)
        assert draft.versions(target) == [1]
        assert draft.publish(made) == target / "2"

    assert draft.versions(target) == [1, 2]
    assert [path.name for path in target.parent.iterdir()] == ["m"]


def test_what_is_not_published_is_gone(target: Path) -> None:
    with draft.open_draft(target, 2) as made:
        (made.directory / "model.onnx").write_bytes(b"half")

    assert draft.versions(target) == [1]
    assert [path.name for path in target.parent.iterdir()] == ["m"]


def test_a_version_that_is_there_stays(target: Path) -> None:
    with pytest.raises(LabFailure, match="never overwritten"), draft.open_draft(target, 1):
        pass


def test_somebody_else_was_faster(target: Path) -> None:
    _pins(target, f"  1/model.onnx: '{'1' * 64}'")
    before = (target / "model.yaml").read_text()
    with draft.open_draft(target, 2) as made:
        (made.directory / "model.onnx").write_bytes(onnx_models.scale(3.0))
        draft.pin(made)
        (target / "2").mkdir()
        (target / "2" / "theirs").write_text("")
        with pytest.raises(LabFailure, match="could not be put in place"):
            draft.publish(made)

    assert [path.name for path in (target / "2").iterdir()] == ["theirs"]
    assert (target / "model.yaml").read_text() == before


def test_pins_stand_beside_the_others(target: Path) -> None:
    _pins(target, f"  1/model.onnx: '{'1' * 64}'", f"  2/old: '{'2' * 64}'")
    with draft.open_draft(target, 2) as made:
        (made.directory / "model.onnx").write_bytes(b"weights")
        (made.directory / "quality.json").write_text("{}")
        draft.pin(made)
        text = made.spec_file.read_text()

    own = f'  2/model.onnx: "{hashlib.sha256(b"weights").hexdigest()}"\n'
    assert text == SPEC + "digests:\n" + own + f"  1/model.onnx: '{'1' * 64}'\n"


def test_a_spec_without_pins_gets_none(target: Path) -> None:
    (target / "model.yaml").write_text(SPEC)
    with draft.open_draft(target, 2) as made:
        (made.directory / "model.onnx").write_bytes(b"weights")
        draft.pin(made)
        assert made.spec_file.read_text() == SPEC


@pytest.mark.parametrize("form", ["digests: {{1/model.onnx: '{0}'}}", "'digests':\n  1/model.onnx: '{0}'"])
def test_pins_in_another_form_are_not_left_out_silently(target: Path, form: str) -> None:
    (target / "model.yaml").write_text(f"{SPEC}{form.format('1' * 64)}\n")
    with draft.open_draft(target, 2) as made, pytest.raises(LabFailure, match="cannot be added"):
        draft.pin(made)


def test_an_empty_map_of_pins_is_none(target: Path) -> None:
    (target / "model.yaml").write_text(f"{SPEC}digests: {{}}\n")
    draft.check_pins(target)


def test_a_version_that_the_services_refuse(target: Path) -> None:
    golden = {
        "request": {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 1, 1, 1]}]},
        "response": {"outputs": [{"name": "y", "shape": [1, 4], "datatype": "FP32", "data": [9, 9, 9, 9]}]},
    }
    with draft.open_draft(target, 2) as made:
        (made.directory / "model.onnx").write_bytes(onnx_models.scale(3.0))
        (made.directory / "golden.json").write_text(json.dumps(golden))
        with pytest.raises(LabFailure, match=r"refuse the version: m/2/golden\.json") as refused:
            draft.check(made)

    assert str(made.repository) not in str(refused.value)


@pytest.mark.parametrize(("there", "following"), [((), 1), ((1,), 2), ((1, 12), 13)])
def test_next_version(tmp_path: Path, there: tuple[int, ...], following: int) -> None:
    for version in there:
        (tmp_path / str(version)).mkdir()
    (tmp_path / "007").mkdir()

    assert draft.next_version(tmp_path) == following
    assert draft.next_version(tmp_path / "missing") == 1
