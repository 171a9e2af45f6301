"""Torch module to one self-contained ONNX file with a free batch axis, checked against the module."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from trireme_common.tensors import datatype_of, dtype_of

OPSET = 20


class DisagreementError(Exception):
    """onnxruntime gives another answer than the torch model."""


def to_onnx(
    model: nn.Module,
    example: Mapping[str, Tensor],
    outputs: Sequence[str],
    path: Path,
    *,
    dynamic: Mapping[str, Mapping[int, str]],
) -> None:
    """Writes `model` to `path`. `example` names its inputs in order (batch of two or more);
    `dynamic` names the free axes of each."""
    shapes = {name: dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for name, axes in dynamic.items()}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # torch 2.13 copies an object of its own that it has deprecated itself.
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        program = torch.onnx.export(
            model,
            tuple(example.values()),
            input_names=list(example),
            output_names=list(outputs),
            dynamic_shapes=tuple(shapes[name] for name in example),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    onnx.save(tidy(program.model_proto, dynamic), str(path))


def session(path: Path, *, threads: int = 1) -> onnxruntime.InferenceSession:
    """onnxruntime as the service runs it, on one core unless more `threads` are given."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def write_golden(
    path: Path,
    request: Mapping[str, np.ndarray],
    response: Mapping[str, np.ndarray],
    tolerance: float | Mapping[str, float],
) -> None:
    """golden.json: a v2 request for the bare tensor model and what the framework's model answered.
    `tolerance` is the absolute one, or a map of `rtol` and `atol`."""
    golden = {
        "request": {"inputs": [_v2(name, array) for name, array in request.items()]},
        "response": {"outputs": [_v2(name, array) for name, array in response.items()]},
        "tolerance": dict(tolerance) if isinstance(tolerance, Mapping) else tolerance,
    }
    path.write_text(json.dumps(golden, ensure_ascii=False) + "\n", "utf-8")


def check_golden(golden: Path, model: Path) -> float:
    """Largest difference between golden.json and onnxruntime. Raises DisagreementError over its tolerance."""
    document = json.loads(golden.read_text("utf-8"))
    feeds = {tensor["name"]: from_v2(tensor) for tensor in document["request"]["inputs"]}
    runtime = session(model)
    names = [tensor["name"] for tensor in document["response"]["outputs"]]
    answers = runtime.run(names, feeds)
    worst = 0.0
    for tensor, answer in zip(document["response"]["outputs"], answers, strict=True):
        worst = max(worst, float(np.abs(from_v2(tensor) - answer).max()))
    if worst > document["tolerance"]:
        raise DisagreementError(f"{model} differs from {golden} by {worst}, allowed {document['tolerance']}")
    return worst


def check_batches(model: nn.Module, path: Path, feeds: Mapping[str, np.ndarray], tolerance: float) -> float:
    """Largest difference between torch and onnxruntime for batches of 1, 3 and 32 items, and between
    an item alone and in its batch. `feeds` has at least 32 items."""
    runtime, worst = session(path), 0.0
    alone = np.concatenate([_run(runtime, feeds, slice(at, at + 1)) for at in range(32)])
    for size in (1, 3, 32):
        part = slice(0, size)
        with torch.no_grad():
            expected = model(*(torch.from_numpy(array[part]) for array in feeds.values())).numpy()
        together = _run(runtime, feeds, part)
        for reference in (expected, alone[part]):
            worst = max(worst, float(np.abs(reference - together).max()))
    if worst > tolerance:
        raise DisagreementError(f"{path} differs from the torch model by {worst}, allowed {tolerance}")
    return worst


def from_v2(tensor: Mapping[str, Any]) -> np.ndarray:
    """ndarray of one tensor of a v2 JSON body."""
    dtype = dtype_of(tensor["datatype"])
    if dtype is None:
        raise ValueError(f"tensor {tensor['name']!r}: datatype {tensor['datatype']!r} has no numbers")
    return np.array(tensor["data"], dtype).reshape(tensor["shape"])


def _run(runtime: onnxruntime.InferenceSession, feeds: Mapping[str, np.ndarray], part: slice) -> np.ndarray:
    return np.asarray(runtime.run(None, {name: array[part] for name, array in feeds.items()})[0])


def _v2(name: str, array: np.ndarray) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(array.shape),
        "datatype": datatype_of(array.dtype),
        "data": array.reshape(-1).tolist(),
    }


def tidy(model: onnx.ModelProto, dynamic: Mapping[str, Mapping[int, str]]) -> onnx.ModelProto:
    """Drops traces of the exporting machine and names the free axes: those of the inputs as `dynamic`
    says, those of the outputs by the same names where the exporter gave both the same symbol."""
    del model.metadata_props[:]
    graph = model.graph
    del graph.metadata_props[:]
    del graph.value_info[:]
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
    for weights in graph.initializer:
        weights.doc_string = ""
        del weights.metadata_props[:]
    _name_axes(graph, dynamic)
    onnx.checker.check_model(model, full_check=True)
    return model


def _name_axes(graph: onnx.GraphProto, dynamic: Mapping[str, Mapping[int, str]]) -> None:
    names: dict[str, str] = {}
    for value in graph.input:
        for axis, name in dynamic.get(value.name, {}).items():
            dimension = value.type.tensor_type.shape.dim[axis]
            names.setdefault(dimension.dim_param, name)
            dimension.dim_param = name
    batch = next((axes[0] for axes in dynamic.values() if 0 in axes), None)
    for value in graph.output:
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if dimension.dim_param:
                dimension.dim_param = names.get(dimension.dim_param, dimension.dim_param)
            elif axis == 0 and batch and not dimension.dim_value:
                dimension.dim_param = batch
