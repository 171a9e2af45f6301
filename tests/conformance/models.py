"""The suite's own model repository: small deterministic ONNX models, each with a config.pbtxt.

The configurations are Triton's, so that any server that reads them can be asked the same questions.
`python -m tests.conformance --write-models DIR` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.conformance.target import ModelNames

TYPES: Mapping[str, tuple[int, str]] = {
    "BOOL": (TensorProto.BOOL, "bool"),
    "UINT8": (TensorProto.UINT8, "uint8"),
    "UINT16": (TensorProto.UINT16, "uint16"),
    "UINT32": (TensorProto.UINT32, "uint32"),
    "UINT64": (TensorProto.UINT64, "uint64"),
    "INT8": (TensorProto.INT8, "int8"),
    "INT16": (TensorProto.INT16, "int16"),
    "INT32": (TensorProto.INT32, "int32"),
    "INT64": (TensorProto.INT64, "int64"),
    "FP16": (TensorProto.FLOAT16, "float16"),
    "FP32": (TensorProto.FLOAT, "float32"),
    "FP64": (TensorProto.DOUBLE, "float64"),
}
"""Datatypes of the protocol that JSON can say, with ONNX's number and numpy's name; BYTES and BF16 have
models of their own."""

LABELS = ("north", "east", "south", "west")

_CONFIG = 'name: "{name}"\nplatform: "onnxruntime_onnx"\n'
_SUMS = """\
max_batch_size: 8
input [
  { name: "INPUT0" data_type: TYPE_FP32 dims: [ 4 ] },
  { name: "INPUT1" data_type: TYPE_FP32 dims: [ 4 ] }
]
output [
  { name: "SUM" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" },
  { name: "DIFFERENCE" data_type: TYPE_FP32 dims: [ 4 ] }
]
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 500
  default_queue_policy { allow_timeout_override: true }
}
"""
_TABLE = """\
max_batch_size: 0
input [ { name: "place" data_type: TYPE_INT64 dims: [ -1 ] } ]
output [ { name: "entry" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""
_SCALE = """\
max_batch_size: 0
input [ { name: "x" data_type: TYPE_FP32 dims: [ -1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""


def write_models(root: Path, names: ModelNames | None = None) -> Path:
    """Writes every model below `root`; returns it."""
    named = names or ModelNames()
    _write(root, named.sums, _SUMS, {1: sums()}, labels="\n".join(LABELS))
    _write(root, named.types, _echo_config(TYPES), {1: echo({k: v[0] for k, v in TYPES.items()})})
    _write(root, named.bfloat16, _echo_config(["BF16"]), {1: echo({"BF16": TensorProto.BFLOAT16})})
    _write(root, named.text, _echo_config(["STRING"]), {1: echo({"STRING": TensorProto.STRING})})
    _write(root, named.table, _TABLE, {1: table()})
    both = "version_policy { all { } }\n" + _SCALE
    _write(root, named.versions, both, {1: scale(2.0), 2: scale(3.0)})
    _write(root, named.orders, _SCALE, {1: scale(2.0)})
    _write(root, named.broken, _SCALE, {1: b"this is no model"})
    return root


def sums() -> bytes:
    """SUM and DIFFERENCE = INPUT0 +- INPUT1, all FP32 [N, 4]."""
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["SUM"]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["DIFFERENCE"]),
    ]
    shape = ["N", 4]
    return _model(
        nodes,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("INPUT0", "INPUT1")],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("SUM", "DIFFERENCE")],
    )


def echo(types: Mapping[str, int]) -> bytes:
    """OUT_<type> = IN_<type>, [N] each with an N of its own, for each of `types` (name: ONNX's number)."""
    return _model(
        [helper.make_node("Identity", [f"IN_{name}"], [f"OUT_{name}"]) for name in types],
        [helper.make_tensor_value_info(f"IN_{name}", kind, [f"N_{name}"]) for name, kind in types.items()],
        [helper.make_tensor_value_info(f"OUT_{name}", kind, [f"N_{name}"]) for name, kind in types.items()],
    )


def scale(factor: float) -> bytes:
    """y = x * factor, FP32 [N]."""
    return _model(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
    )


def table() -> bytes:
    """entry FP32 [N] = the place's, INT64 [N], in a table of four; the model fails on other places."""
    return _model(
        [helper.make_node("Gather", ["table", "place"], ["entry"])],
        [helper.make_tensor_value_info("place", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info("entry", TensorProto.FLOAT, ["N"])],
        [numpy_helper.from_array(np.arange(4, dtype=np.float32) * 10, "table")],
    )


def _echo_config(types: Mapping[str, object] | list[str]) -> str:
    entries = "\n".join(
        f'{kind} [ {{ name: "{prefix}_{name}" data_type: TYPE_{name} dims: [ -1 ] }} ]'
        for kind, prefix in (("input", "IN"), ("output", "OUT"))
        for name in types
    )
    return f"max_batch_size: 0\n{entries}\n"


def _write(
    root: Path, name: str, config: str, versions: Mapping[int, bytes], labels: str | None = None
) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "config.pbtxt").write_text(_CONFIG.format(name=name) + config)
    if labels is not None:
        (folder / "labels.txt").write_text(labels)
    for version, model in versions.items():
        (folder / str(version)).mkdir()
        (folder / str(version) / "model.onnx").write_bytes(model)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    initializers: list[TensorProto] | None = None,
) -> bytes:
    graph = helper.make_graph(nodes, "conformance", inputs, outputs, initializers or [])
    opset = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())
