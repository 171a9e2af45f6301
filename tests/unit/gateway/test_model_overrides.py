from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.repositories import write_model
from tests.support.times_models import SPEC
from tests.support.triton_models import write_triton_model
from trireme_common.errors import Code, TriremeError
from trireme_common.repository import OVERRIDES, scan
from trireme_gateway.model_overrides import Override, OverrideFiles, read_override

CONFIG = json.dumps({"backend": "onnxruntime", "max_batch_size": 4})


def sent(model: str = "m", config: str = CONFIG, files: dict[str, bytes] | None = None) -> Override:
    found = read_override(model, {"config": config, **(files or {})})
    assert found is not None
    return found


def batch_sizes(models: Path) -> dict[str, int]:
    return {files.spec.name: files.spec.batching.max_batch_size for files in scan(models).versions}


def test_a_load_without_parameters_brings_nothing() -> None:
    assert read_override("m", {}) is None


def test_files_are_bytes_or_base64() -> None:
    found = read_override(
        "m",
        {
            "config": CONFIG,
            "file:1/model.onnx": base64.b64encode(b"one").decode(),
            "file:12/model.onnx": b"twelve",
        },
    )
    assert found is not None
    assert found.files == {("1", "model.onnx"): b"one", ("12", "model.onnx"): b"twelve"}
    assert found.versions == {"1", "12"}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"force": True}, "no parameter 'force'"),
        ({"config": 1}, "'config' must be a string"),
        ({"config": None}, "'config' must be a string"),
        ({"config": "{"}, "failed to load 'm': 'config' is no model configuration"),
        ({"file:1/model.onnx": b""}, "requires 'config' to be provided"),
        ({"config": CONFIG, "file:1/model.onnx": "?"}, "must be the base64"),
        ({"config": CONFIG, "file:1/model.onnx": 3}, "must be the base64"),
        ({"config": CONFIG, "file:../../model.onnx": b""}, "no file of a version"),
        ({"config": CONFIG, "file:1/../model.onnx": b""}, "no file of a version"),
        ({"config": CONFIG, "file:1/.hidden": b""}, "no file of a version"),
        ({"config": CONFIG, "file:0/model.onnx": b""}, "no file of a version"),
        ({"config": CONFIG, "file:/etc/passwd": b""}, "no file of a version"),
        ({"config": CONFIG, "file:1/a/b": b""}, "no file of a version"),
    ],
)
def test_what_cannot_be_brought_along_is_refused(parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(TriremeError) as refused:
        read_override("m", parameters)
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert said in refused.value.detail


def test_a_configuration_is_read_in_place_of_the_models_own_until_it_is_taken_away(tmp_path: Path) -> None:
    write_triton_model(tmp_path, "m", "max_batch_size: 8", {1: b"w"})
    files = OverrideFiles(tmp_path)
    files.put("m", sent()).keep()
    assert batch_sizes(tmp_path) == {"m": 4}
    files.put("m", sent(config='{"backend": "onnxruntime", "max_batch_size": 2}')).keep()
    assert batch_sizes(tmp_path) == {"m": 2}
    files.take_away("m")
    files.take_away("m")
    assert batch_sizes(tmp_path) == {"m": 8}
    assert not list((tmp_path / OVERRIDES).iterdir())


def test_what_was_there_before_comes_back(tmp_path: Path) -> None:
    files = OverrideFiles(tmp_path)
    first = {"file:1/model.onnx": b"w"}
    files.put("m", sent(files=first)).undo()
    assert batch_sizes(tmp_path) == {}
    files.put("m", sent(files=first)).keep()
    undo = files.put("m", sent(config='{"backend": "onnxruntime", "max_batch_size": 2}', files=first))
    assert batch_sizes(tmp_path) == {"m": 2}
    undo.undo()
    assert batch_sizes(tmp_path) == {"m": 4}
    assert [path.name for path in (tmp_path / OVERRIDES).iterdir()] == ["m"]


def test_what_no_stage_could_read_never_gets_there(tmp_path: Path) -> None:
    write_model(tmp_path, "pipeline", 1, spec="name: pipeline\n" + SPEC)
    write_model(tmp_path, "pinned", 1, spec=f"name: pinned\ndigests: {{1/model.onnx: {'a' * 64}}}\n")
    files = OverrideFiles(tmp_path)
    plan = sent(config='{"platform": "tensorrt_plan"}', files={"file:1/model.plan": b""})
    for model, override, code, said in (
        ("m", sent(), Code.MODEL_NOT_FOUND, "unknown model 'm': the request brings no files"),
        ("m", plan, None, "failed to load 'm'"),
        ("pipeline", sent("pipeline"), None, "has pre- and postprocess of its own"),
        ("pinned", sent("pinned"), None, "its model.yaml pins the digests of its files"),
    ):
        with pytest.raises(TriremeError) as refused:
            files.put(model, override)
        assert refused.value.code is (code or Code.INVALID_ARGUMENT)
        assert said in refused.value.detail
        assert str(tmp_path) not in refused.value.detail
    assert set(batch_sizes(tmp_path)) == {"pipeline", "pinned"}
    assert not list(tmp_path.glob(f"{OVERRIDES}/*"))


def test_a_gateway_that_does_not_see_the_repository_takes_nothing(tmp_path: Path) -> None:
    for models_dir in (None, tmp_path / "gone"):
        with pytest.raises(TriremeError, match="TRIREME_MODELS_DIR"):
            OverrideFiles(models_dir).put("m", sent())
        OverrideFiles(models_dir).take_away("m")
