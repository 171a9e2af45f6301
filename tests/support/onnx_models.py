"""Small deterministic ONNX models, and model repositories made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = list[int | str | None]
_OPSET = [helper.make_opsetid("", 17)]


def scale(factor: float, columns: int = 4) -> bytes:
    """y = x * factor; x and y FP32 [N, columns]."""
    constant = numpy_helper.from_array(np.array(factor, np.float32), "factor")
    return _model(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        [_value("x", TensorProto.FLOAT, ["N", columns])],
        [_value("y", TensorProto.FLOAT, ["N", columns])],
        [constant],
    )


def row_sum() -> bytes:
    """y [N] = sum of each row of x [N, K]; K is free, so rows of several lengths arrive."""
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    return _model(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        [_value("x", TensorProto.FLOAT, ["N", "K"])],
        [_value("y", TensorProto.FLOAT, ["N"])],
        [axes],
    )


def lookup(size: int = 8) -> bytes:
    """y FP32 [N] = table[ids] * 10; an id outside of the table makes the whole run fail."""
    table = numpy_helper.from_array(np.arange(size, dtype=np.float32) * 10, "table")
    return _model(
        [helper.make_node("Gather", ["table", "ids"], ["y"], name="take")],
        [_value("ids", TensorProto.INT64, ["N"])],
        [_value("y", TensorProto.FLOAT, ["N"])],
        [table],
    )


def lookup_from_ten() -> bytes:
    """y FP32 [N] = table[ids - 10] of four entries: zeros make the whole run fail."""
    table = numpy_helper.from_array(np.arange(4, dtype=np.float32), "table")
    ten = numpy_helper.from_array(np.array(10, np.int64), "ten")
    return _model(
        [
            helper.make_node("Sub", ["ids", "ten"], ["places"]),
            helper.make_node("Gather", ["table", "places"], ["y"]),
        ],
        [_value("ids", TensorProto.INT64, ["N"])],
        [_value("y", TensorProto.FLOAT, ["N"])],
        [table, ten],
    )


def classifier(classes: int = 3, vocabulary: int = 16) -> bytes:
    """probabilities FP32 [N, classes] of ids INT64 [N, T]: mean of embeddings, softmax."""
    weights = np.sin(np.arange(vocabulary * classes, dtype=np.float32)).reshape(vocabulary, classes)
    return _model(
        [
            helper.make_node("Gather", ["weights", "ids"], ["rows"]),
            helper.make_node("ReduceMean", ["rows"], ["logits"], axes=[1], keepdims=0),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        [_value("ids", TensorProto.INT64, ["N", "T"])],
        [_value("probabilities", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(weights, "weights")],
    )


def masked_encoder(vocabulary: int = 16, width: int = 3) -> bytes:
    """tokens FP32 [N, T, width] and their mean pooled [N, width], of ids and mask INT64 [N, T]: what is
    masked has no weight in the mean. An id outside of the vocabulary makes the whole run fail."""
    table = np.sin(np.arange(vocabulary * width, dtype=np.float32)).reshape(vocabulary, width)
    axes = {"one": np.array([1], np.int64), "two": np.array([2], np.int64)}
    return _model(
        [
            helper.make_node("Gather", ["table", "ids"], ["tokens"]),
            helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["weights", "two"], ["column"]),
            helper.make_node("Mul", ["tokens", "column"], ["weighted"]),
            helper.make_node("ReduceSum", ["weighted", "one"], ["sum"], keepdims=0),
            helper.make_node("ReduceSum", ["weights", "one"], ["count"], keepdims=1),
            helper.make_node("Div", ["sum", "count"], ["pooled"]),
        ],
        [_value("ids", TensorProto.INT64, ["N", "T"]), _value("mask", TensorProto.INT64, ["N", "T"])],
        [
            _value("tokens", TensorProto.FLOAT, ["N", "T", width]),
            _value("pooled", TensorProto.FLOAT, ["N", width]),
        ],
        [numpy_helper.from_array(table, "table"), *(numpy_helper.from_array(a, n) for n, a in axes.items())],
    )


def row_maximum() -> bytes:
    """y FP32 [N] = the largest of each row of x [N, K]: padding with 0 shows in rows of negative numbers."""
    return _model(
        [helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=0)],
        [_value("x", TensorProto.FLOAT, ["N", "K"])],
        [_value("y", TensorProto.FLOAT, ["N"])],
    )


def minus_mean() -> bytes:
    """y = x - mean of the whole batch, x and y FP32 [N, 2]: rows depend on their neighbours."""
    return _model(
        [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["x", "mean"], ["y"]),
        ],
        [_value("x", TensorProto.FLOAT, ["N", 2])],
        [_value("y", TensorProto.FLOAT, ["N", 2])],
    )


def total() -> bytes:
    """y FP32 [1] = sum of all of x [N, 2]: no output of the batch's size."""
    return _model(
        [helper.make_node("ReduceSum", ["x"], ["scalar"], keepdims=0), _reshape("scalar", "y")],
        [_value("x", TensorProto.FLOAT, ["N", 2])],
        [_value("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array([1], np.int64), "one")],
    )


def text() -> bytes:
    """y = x, BYTES [N]."""
    return _model(
        [helper.make_node("Identity", ["x"], ["y"])],
        [_value("x", TensorProto.STRING, ["N"])],
        [_value("y", TensorProto.STRING, ["N"])],
    )


def to_text() -> bytes:
    """y BYTES [N] = the digits of x INT64 [N]."""
    return _model(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.STRING)],
        [_value("x", TensorProto.INT64, ["N"])],
        [_value("y", TensorProto.STRING, ["N"])],
    )


def echo(kinds: Mapping[str, int], shape: Shape) -> bytes:
    """`<name>_out` = `<name>` of that ONNX type and shape, for every one of `kinds`."""
    return _model(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds],
        [_value(name, kind, shape) for name, kind in kinds.items()],
        [_value(f"{name}_out", kind, shape) for name, kind in kinds.items()],
    )


def with_external_data(location: str, *, offset: int = 0, length: int = 16) -> bytes:
    """`scale` by a vector of four that lies in the file `location`."""
    model = onnx.load_from_string(scale(1.0))
    tensor = model.graph.initializer[0]
    tensor.CopyFrom(TensorProto(name="factor", data_type=TensorProto.FLOAT, dims=[4]))
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    return bytes(model.SerializeToString())


def write_version(
    models: Path,
    name: str,
    version: int,
    model: bytes,
    *,
    spec: str | None = None,
    golden: Mapping[str, Any] | None = None,
) -> Path:
    """Writes one version, staged beside and moved into place; returns its directory."""
    directory = models / name / str(version)
    staged = models / f".{name}-{version}"
    staged.mkdir(parents=True)
    (staged / "model.onnx").write_bytes(model)
    if golden is not None:
        (staged / "golden.json").write_text(json.dumps(golden))
    directory.parent.mkdir(exist_ok=True)
    if spec is not None:
        (directory.parent / "model.yaml").write_text(f"name: {name}\n{spec}")
    staged.rename(directory)
    return directory


def golden_of(
    inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray], **more: Any
) -> dict[str, Any]:
    """Content of a golden.json."""
    return {
        "request": {"inputs": [_v2(name, array) for name, array in inputs.items()]},
        "response": {"outputs": [_v2(name, array) for name, array in outputs.items()]},
        **more,
    }


def _v2(name: str, array: np.ndarray) -> dict[str, Any]:
    datatype = {"float32": "FP32", "int64": "INT64"}[array.dtype.name]
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.tolist()}


def _reshape(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Reshape", [source, "one"], [target])


def _value(name: str, kind: int, shape: Shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: list[TensorProto] | None = None,
) -> bytes:
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers or [])
    return bytes(helper.make_model(graph, opset_imports=_OPSET, ir_version=8).SerializeToString())
