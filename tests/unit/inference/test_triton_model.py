"""Models of Triton's through the loader: what they say of themselves and how they run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from tests.support import onnx_models, torch_models
from tests.support.inference_fakes import Pending
from tests.support.triton_models import SCALE_CONFIG, write_triton_model
from tests.support.workers import shared_isolation
from trireme_common.errors import SpecError
from trireme_common.repository import scan
from trireme_inference.bootstrap import BACKENDS
from trireme_inference.loader import Loader, Machine
from trireme_inference.servable import InferenceServable

LABELS = "one\ntwo\r\n三\nfour\n"


def load(models: Path) -> InferenceServable:
    (files,) = scan(models).versions
    return Loader(BACKENDS, Machine(), Pending(), asyncio.get_event_loop(), shared_isolation()).load(files)


async def test_spec_labels_and_configuration_reach_the_descriptor(tmp_path: Path) -> None:
    write_triton_model(tmp_path, "m", SCALE_CONFIG, {1: onnx_models.scale(2.0)}, labels_txt=LABELS)
    servable = load(tmp_path)
    found = servable.descriptor
    assert (found.task, found.platform, found.max_batch_size) == ("tensor", "onnxruntime_onnx", 8)
    assert found.inputs[0].shape == (-1, 4)
    assert found.outputs[0].labels == ("one", "two", "三", "four")
    config = json.loads(found.config)
    assert (config["name"], config["output"][0]["label_filename"]) == ("m", "labels.txt")
    assert servable.notes == ""
    await servable.close()


async def test_what_is_not_honoured_is_noted(tmp_path: Path) -> None:
    config = 'optimization { cuda { graphs: true } } later: "x"'
    write_triton_model(tmp_path, "m", config, {1: onnx_models.scale(2.0)})
    servable = load(tmp_path)
    assert "not honoured: optimization.cuda" in servable.notes
    assert "later (line 1)" in servable.notes
    await servable.close()


async def test_without_a_batch_dimension_a_request_is_one_run(tmp_path: Path) -> None:
    config = (
        'max_batch_size: 0 input { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }'
        'output { name: "y" data_type: TYPE_FP32 dims: [ -1, 2 ] }'
    )
    write_triton_model(tmp_path, "m", config, {1: onnx_models.minus_mean()})
    servable = load(tmp_path)
    assert not servable.signature.batchable
    assert (servable.descriptor.max_batch_size, servable.notes) == (0, "")
    await servable.close()


async def test_a_model_that_fails_on_zeros_is_served(tmp_path: Path) -> None:
    write_triton_model(tmp_path, "m", "max_batch_size: 2", {1: onnx_models.lookup_from_ten()})
    servable = load(tmp_path)
    assert "not warmed up: the model fails on zeros" in servable.notes
    assert "batching is off: nothing tells whether rows depend on each other" in servable.notes
    assert not servable.signature.batchable
    await servable.close()


async def test_one_that_asks_for_batches_gets_them_untried(tmp_path: Path) -> None:
    config = "max_batch_size: 2 dynamic_batching { }"
    write_triton_model(tmp_path, "m", config, {1: onnx_models.lookup_from_ten()})
    servable = load(tmp_path)
    assert "not warmed up" in servable.notes
    assert servable.signature.batchable
    await servable.close()


@pytest.mark.parametrize("batching", ["", "dynamic_batching { max_queue_delay_microseconds: 1000 }"])
async def test_callers_share_no_run_of_a_model_whose_rows_look_at_others(
    tmp_path: Path, batching: str
) -> None:
    write_triton_model(tmp_path, "m", f"max_batch_size: 8 {batching}", {1: onnx_models.minus_mean()})
    servable = load(tmp_path)
    assert servable.notes == "batching is off: output 'y' of a row depends on its neighbours"
    assert not servable.signature.batchable
    await servable.close()


PLATFORM = 'platform: "onnxruntime_onnx" max_batch_size: 8 '


async def test_what_a_tensor_leaves_out_is_as_in_the_model_file(tmp_path: Path) -> None:
    config = (
        'input [ { name: "a" data_type: TYPE_FP32 dims: 3 }, { name: "b" } ]'
        'output [ { name: "b_out" },'
        ' { name: "a_out" dims: [ 1, 3 ] data_type: TYPE_FP32 reshape { shape: 3 } } ]'
    )
    kinds = {"a": TensorProto.FLOAT, "b": TensorProto.INT32}
    write_triton_model(tmp_path, "m", PLATFORM + config, {1: onnx_models.echo(kinds, ["N", "K"])})
    servable = load(tmp_path)
    found = servable.descriptor
    assert [(info.name, info.datatype, info.shape) for info in (*found.inputs, *found.outputs)] == [
        ("a", "FP32", (-1, 3)),
        ("b", "INT32", (-1, -1)),
        ("b_out", "INT32", (-1, -1)),
        ("a_out", "FP32", (-1, 1, 3)),
    ]
    shown = json.loads(found.config)
    assert [(tensor["name"], tensor["dims"]) for tensor in shown["input"]] == [("a", [3]), ("b", [-1])]
    await servable.close()


async def test_outputs_that_are_not_listed_are_not_given(tmp_path: Path) -> None:
    kinds = {"a": TensorProto.FLOAT, "b": TensorProto.FLOAT}
    config = PLATFORM + 'output { name: "b_out" }'
    write_triton_model(tmp_path, "m", config, {1: onnx_models.echo(kinds, ["N", "K"])})
    servable = load(tmp_path)
    assert servable.signature.fetch == ("b_out",)
    await servable.close()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (SCALE_CONFIG, "asset 'labels.txt' is missing"),
        (SCALE_CONFIG.replace('"x"', '"a"'), "config.pbtxt declares input 'a'; the model file has x"),
        ('input { name: "a" }', "config.pbtxt declares input 'a'; the model file has x"),
        ('output { name: "z" }', "config.pbtxt declares output 'z'; the model file has y"),
        ('max_batch_size: 8 input { name: "x" dims: 5 }', "config.pbtxt says shape [-1, 5]"),
        ('input { name: "x" data_type: TYPE_INT8 }', "config.pbtxt says INT8, the model file has FP32"),
        (SCALE_CONFIG.replace("[ 4 ]", "[ 5 ]"), "config.pbtxt says shape [-1, 5]"),
        (SCALE_CONFIG.replace("batch_size: 8", "batch_size: 0").partition("dynamic")[0], "shape [4]"),
        ('output { name: "z" label_filename: "labels.txt" }', "declares output 'z'; the model file has y"),
        ('default_model_filename: "net.onnx"', "net.onnx is missing"),
        (
            'max_batch_size: 2 input { name: "x" data_type: TYPE_FP32 dims: 4 reshape { shape: [ 2, 2 ] } }',
            "reshaped to [-1, 2, 2], the model file has [-1, 4]",
        ),
    ],
)
async def test_what_does_not_fit_is_refused(tmp_path: Path, config: str, expected: str) -> None:
    write_triton_model(tmp_path, "m", config, {1: onnx_models.scale(2.0)})
    with pytest.raises(SpecError) as refused:
        load(tmp_path)
    assert expected in refused.value.detail


async def test_a_model_of_several_files_is_a_folder(tmp_path: Path) -> None:
    folder = write_triton_model(tmp_path, "m", "", {1: b""})
    (folder / "1" / "model.onnx").unlink()
    (folder / "1" / "model.onnx").mkdir()
    (folder / "1" / "model.onnx" / "model.onnx").write_bytes(onnx_models.scale(2.0))
    await load(tmp_path).close()


TWO = """\
platform: "pytorch_libtorch"
max_batch_size: 4
input [ { name: "IN__1" data_type: TYPE_FP32 dims: 2 }, { name: "IN__0" data_type: TYPE_FP32 dims: 2 } ]
output [ { name: "OUT__0" data_type: TYPE_FP32 dims: 2 },
         { name: "OUT__1" data_type: TYPE_FP32 dims: 2 reshape { shape: [ 2 ] } } ]
"""


async def test_torchscript_gets_its_arguments_by_number(tmp_path: Path) -> None:
    folder = write_triton_model(tmp_path, "m", TWO, {1: b""}, model_file="model.pt")
    torch_models.write_script(folder / "1" / "model.pt", torch_models.Two())
    a, b = np.array([[5, 7]], np.float32), np.array([[1, 2]], np.float32)
    golden = onnx_models.golden_of({"IN__0": a, "IN__1": b}, {"OUT__0": a + b, "OUT__1": a - b})
    (folder / "golden.json").write_text(json.dumps(golden))
    servable = load(tmp_path)
    assert servable.descriptor.platform == "pytorch_libtorch"
    assert [info.name for info in servable.descriptor.inputs] == ["IN__0", "IN__1"]
    assert json.loads(servable.descriptor.config)["default_model_filename"] == "model.pt"
    await servable.close()
