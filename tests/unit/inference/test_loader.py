"""Versions that load, and what is said of those that do not."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import onnx_models
from tests.support.inference_fakes import Pending
from tests.support.onnx_models import golden_of, write_version
from tests.support.workers import shared_isolation
from trireme_common.errors import SpecError
from trireme_common.repository import scan
from trireme_inference.backend import Backend, Opener, OpenOptions
from trireme_inference.bootstrap import BACKENDS
from trireme_inference.loader import Loader, Machine
from trireme_inference.onnx_backend import open_onnx
from trireme_inference.servable import InferenceServable

SCALE = """\
inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
"""
ROW = np.array([[1, 2, 3, 4]], np.float32)


def load(models: Path, openers: Mapping[str, Opener] = BACKENDS, **machine: Any) -> InferenceServable:
    """Loads the one version in `models`."""
    (files,) = scan(models).versions
    loop = asyncio.get_event_loop()
    return Loader(openers, Machine(**machine), Pending(), loop, shared_isolation()).load(files)


def refusal(models: Path, **machine: Any) -> str:
    with pytest.raises(SpecError) as caught:
        load(models, **machine)
    return caught.value.detail


async def test_a_bare_model_is_described_by_its_graph(tmp_path: Path) -> None:
    write_version(tmp_path, "bare", 1, onnx_models.classifier())
    servable = load(tmp_path)
    descriptor = servable.descriptor
    assert (descriptor.task, descriptor.platform) == ("tensor", "onnxruntime_onnx")
    assert [(info.name, info.datatype, info.shape) for info in descriptor.inputs] == [
        ("ids", "INT64", (-1, -1))
    ]
    assert [(info.name, info.datatype, info.shape) for info in descriptor.outputs] == [
        ("probabilities", "FP32", (-1, 3))
    ]
    assert descriptor.max_batch_size == 32
    assert len(descriptor.digest) == 64
    assert servable.notes == ""
    await servable.close()


async def test_the_golden_answer_is_compared(tmp_path: Path) -> None:
    write_version(
        tmp_path, "m", 1, onnx_models.scale(2.0), spec=SCALE, golden=golden_of({"x": ROW}, {"y": ROW * 2})
    )
    await load(tmp_path).close()


@pytest.mark.parametrize("tolerance", [{}, {"tolerance": 0.05}, {"tolerance": {"rtol": 0.0, "atol": 0.05}}])
async def test_a_wrong_golden_answer_says_the_biggest_difference(
    tmp_path: Path, tolerance: dict[str, Any]
) -> None:
    wrong = ROW * 2
    wrong[0, 2] += 0.1
    golden = golden_of({"x": ROW}, {"y": wrong}, **tolerance)
    write_version(tmp_path, "m", 1, onnx_models.scale(2.0), spec=SCALE, golden=golden)
    detail = refusal(tmp_path)
    assert "output 'y'" in detail
    assert "biggest difference is 0.1 (got 6, golden 6.1, element 2)" in detail


@pytest.mark.parametrize(
    ("golden", "expected"),
    [
        ({"request": {}}, "not a golden request"),
        (golden_of({"z": ROW}, {"y": ROW}), "input 'x' is missing"),
        (golden_of({"x": ROW[:, :2]}, {"y": ROW}), "shape [1, 2]"),
        (golden_of({"x": ROW}, {"z": ROW}), "no output 'z'"),
        (golden_of({"x": ROW}, {"y": ROW[:, :2]}), "shape [1, 4], golden [1, 2]"),
    ],
)
async def test_a_golden_file_that_does_not_fit_the_model(
    tmp_path: Path, golden: dict[str, Any], expected: str
) -> None:
    write_version(tmp_path, "m", 1, onnx_models.scale(2.0), spec=SCALE, golden=golden)
    assert expected in refusal(tmp_path)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (SCALE.replace("name: x", "name: a"), "declares input 'a'; the model file has x"),
        (SCALE.replace("name: y", "name: b"), "declares output 'b'; the model file has y"),
        (SCALE.replace("FP32", "FP64", 1), "input 'x': model.yaml says FP64, the model file has FP32"),
        (
            SCALE.replace("-1, 4", "-1, 5", 1),
            "input 'x': model.yaml says shape [-1, 5], the model file has [-1, 4]",
        ),
        (SCALE.replace("-1, 4", "-1", 1), "input 'x': model.yaml says shape [-1]"),
        ("digests: {1/model.onnx: '" + "0" * 64 + "'}\n", "model.yaml pins"),
        ("instances: {device: 'cuda:0'}\n", "CUDA is missing"),
    ],
)
async def test_a_spec_that_does_not_fit_the_model(tmp_path: Path, spec: str, expected: str) -> None:
    write_version(tmp_path, "m", 1, onnx_models.scale(2.0), spec=spec)
    assert expected in refusal(tmp_path)


async def test_a_declared_shape_may_be_narrower_than_the_graphs(tmp_path: Path) -> None:
    spec = """\
inputs: [{name: x, datatype: FP32, shape: [-1, 7]}]
outputs: [{name: y, datatype: FP32, shape: [-1]}]
"""
    write_version(tmp_path, "m", 1, onnx_models.row_sum(), spec=spec)
    servable = load(tmp_path)
    assert servable.signature.inputs[0].shape == (-1, 7)
    await servable.close()


@pytest.mark.parametrize("keep", [0, 1, 20, 60, -1])
async def test_a_truncated_model_is_refused(tmp_path: Path, keep: int) -> None:
    write_version(tmp_path, "m", 1, onnx_models.scale(2.0)[:keep], spec="task: tensor\n")
    assert "model.onnx" in refusal(tmp_path)


async def test_a_version_without_a_model_file_is_refused(tmp_path: Path) -> None:
    (write_version(tmp_path, "m", 1, b"", spec="task: tensor\n") / "model.onnx").unlink()
    assert "model.onnx is missing" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("model", "note"),
    [(onnx_models.minus_mean(), "depends on its neighbours"), (onnx_models.total(), "")],
)
async def test_a_model_whose_rows_are_not_independent_is_not_batched(
    tmp_path: Path, model: bytes, note: str
) -> None:
    array = np.array([[1, 2], [5, 9]], np.float32)
    outputs = {"y": array - array.mean(axis=0) if note else array.sum(keepdims=True).reshape(1)}
    write_version(tmp_path, "m", 1, model, spec="task: tensor\n", golden=golden_of({"x": array}, outputs))
    servable = load(tmp_path)
    assert not servable.signature.batchable
    assert servable.descriptor.max_batch_size == 0
    assert note in servable.notes
    await servable.close()


OPENED: list[OpenOptions] = []


def noting(directory: Path, options: OpenOptions) -> Backend:
    """Opens an ONNX model and keeps what it was opened with, in the process that calls it."""
    OPENED.append(options)
    return open_onnx(directory, options)


@pytest.mark.parametrize(("spec", "batches"), [("", True), ("batching: {max_batch_size: 0}\n", False)])
async def test_a_backend_is_told_whether_requests_share_runs(
    tmp_path: Path, spec: str, batches: bool
) -> None:
    write_version(tmp_path, "m", 1, onnx_models.scale(2.0), spec=spec)
    OPENED.clear()
    servable = load(tmp_path, {"onnxruntime": noting})
    assert {options.batches for options in OPENED} == {batches}
    await servable.close()


async def test_no_warmup_means_no_run(tmp_path: Path) -> None:
    golden = golden_of({"x": ROW}, {"y": ROW * 3})
    write_version(tmp_path, "m", 1, onnx_models.scale(2.0), spec="warmup: false\n", golden=golden)
    await load(tmp_path).close()
