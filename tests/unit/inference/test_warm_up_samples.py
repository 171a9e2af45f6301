"""The samples of a config.pbtxt are run before the model is READY, and one that fails says why."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from tests.support import onnx_models
from tests.support.inference_fakes import FakeBackend, Pending
from tests.support.onnx_models import write_version
from tests.support.workers import shared_isolation
from trireme_common.errors import SpecError
from trireme_common.repository import VersionFiles, scan
from trireme_common.stage_state import TensorInfo
from trireme_inference.bootstrap import BACKENDS
from trireme_inference.loader import Loader, Machine
from trireme_inference.signature import Signature
from trireme_inference.warm_up import warm_up
from trireme_inference.warm_up_samples import samples_of

INPUT = 'inputs { key: "%s" value: { data_type: %s dims: %s %s } }'


def files_of(models: Path, text: str) -> VersionFiles:
    write_version(models, "m", 1, onnx_models.scale(2.0))
    (models / "m" / "config.pbtxt").write_text(text)
    found = scan(models)
    assert found.broken == ()
    return found.versions[0]


def x_of(dims: str, source: str) -> str:
    return INPUT % ("x", "TYPE_FP32", dims, source)


def test_a_sample_is_its_rows_repeated(tmp_path: Path) -> None:
    names = "INT64", "BOOL", "BF16", "BYTES", "UINT8", "FP16"
    signature = Signature(tuple(TensorInfo(name.lower(), name, (-1, 3)) for name in names), ())
    kinds = {"uint8": "zero_data", "bytes": "zero_data"}
    inputs = " ".join(
        INPUT
        % (
            name.lower(),
            "TYPE_" + name.replace("BYTES", "STRING"),
            "3",
            f"{kinds.get(name.lower(), 'random_data')}: true",
        )
        for name in names
    )
    (sample,) = samples_of(
        files_of(tmp_path, f'model_warmup {{ name: "s" batch_size: 2 {inputs} }}'), signature
    )
    assert (sample.name, sample.count) == ("s", 1)
    signs = {name: array.dtype.str for name, array in sample.feed.items()}
    assert signs == {
        "int64": "<i8",
        "bool": "|b1",
        "bf16": "<u2",
        "bytes": "|O",
        "uint8": "|u1",
        "fp16": "<f2",
    }
    for array in sample.feed.values():
        assert array.shape == (2, 3)
        np.testing.assert_array_equal(array[0], array[1])
    assert set(sample.feed["int64"].ravel()) <= {0, 1}
    assert ((sample.feed["fp16"] >= 0) & (sample.feed["fp16"] <= 1)).all()
    assert not sample.feed["uint8"].any()
    assert sample.feed["bytes"][0, 0] == b""


def test_the_file_of_a_sample_holds_one_row(tmp_path: Path) -> None:
    row = x_of("[ 2 ]", 'input_data_file: "row"')
    files = files_of(tmp_path, f"model_warmup {{ batch_size: 3 {row} count: 2 }}")
    (tmp_path / "m" / "warmup").mkdir()
    (tmp_path / "m" / "warmup" / "row").write_bytes(np.array([7, 8], np.float32).tobytes())
    (sample,) = samples_of(files, Signature((TensorInfo("x", "FP32", (-1, -1)),), ()))
    np.testing.assert_array_equal(sample.feed["x"], [[7, 8]] * 3)
    assert (sample.name, sample.count) == ("model_warmup[0]", 2)


def test_a_model_without_a_batch_gets_the_dims_as_they_are(tmp_path: Path) -> None:
    files = files_of(tmp_path, f"model_warmup {{ {x_of('[ 2, 5 ]', 'zero_data: true')} }}")
    (sample,) = samples_of(files, Signature((TensorInfo("x", "FP32", (2, -1)),), (), batchable=False))
    assert sample.feed["x"].shape == (2, 5)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("", "input 'x' is missing"),
        (x_of("4", "zero_data: true").replace("FP32", "INT8"), "INT8"),
        (x_of("4", 'input_data_file: "row"'), "asset 'warmup/row' is missing"),
        (x_of("[ 4, 4 ]", "zero_data: true").replace('"x"', '"z"'), "unknown input 'z'|input 'x' is missing"),
    ],
)
def test_a_sample_that_does_not_fit_the_model(tmp_path: Path, sample: str, expected: str) -> None:
    files = files_of(tmp_path, f'model_warmup {{ name: "s" {sample} }}')
    with pytest.raises(SpecError, match=expected):
        samples_of(files, Signature((TensorInfo("x", "FP32", (-1, 4)),), ()))


def test_every_sample_is_run_as_often_as_it_says(tmp_path: Path) -> None:
    first = f"model_warmup {{ {x_of('3', 'zero_data: true')} count: 2 }}"
    second = f"model_warmup {{ batch_size: 5 {x_of('1', 'random_data: true')} }}"
    files, backend, notes = files_of(tmp_path, first + second), FakeBackend(), list[str]()
    warm = warm_up(files, backend, Signature(backend.inputs, backend.outputs, batchable=False), notes)
    # The first sample takes the place of zeros beside its own runs.
    assert [run.shape for run in backend.runs] == [(1, 3), (1, 3), (1, 3), (5, 1)]
    assert warm.feed["x"].shape == (1, 3)
    assert notes == []


async def test_a_sample_that_the_model_fails_on_is_the_reason(tmp_path: Path) -> None:
    write_version(tmp_path, "m", 1, onnx_models.lookup())
    (tmp_path / "m" / "warmup").mkdir()
    (tmp_path / "m" / "warmup" / "far").write_bytes(np.array([99], np.int64).tobytes())
    ids = INPUT % ("ids", "TYPE_INT64", "1", 'input_data_file: "far"')
    text = f'model_warmup {{ name: "far" {ids} }}'
    (tmp_path / "m" / "config.pbtxt").write_text(text)
    (files,) = scan(tmp_path).versions
    loader = Loader(BACKENDS, Machine(), Pending(), asyncio.get_event_loop(), shared_isolation())
    with pytest.raises(SpecError, match="warm-up with sample 'far' failed"):
        loader.load(files)
