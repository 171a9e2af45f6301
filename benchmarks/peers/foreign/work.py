"""What every framework does with a request, so that they differ in how they serve and in nothing else.

`tensors` serves the model file alone: a body is one item's tensors as raw bytes, one after the other, and
the answer is the first output's row as raw FP32. `texts` serves the whole pipeline with the platform's own
steps: `{"texts": [text]}` in, the answer that `/predict` gives out.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
import orjson

Array = npt.NDArray[Any]
Mode = Literal["tensors", "texts"]

VARIABLE = "PEER_SETUP"
"""Environment variable that holds a `Setup`; worker processes inherit it."""
_DTYPES: dict[str, Any] = {
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(float)": np.float32,
}


@dataclass(frozen=True)
class Setup:
    """How a framework is to serve."""

    model: str
    """Path of the model's folder in our layout, version 1; its last part is the model's name."""
    mode: Mode
    port: int
    grpc_port: int
    metrics_port: int
    workers: int
    threads: int
    """ONNX Runtime's threads a run, in each worker."""
    batch: int
    delay_ms: float

    @property
    def name(self) -> str:
        return Path(self.model).name

    @property
    def delay_seconds(self) -> float:
        return self.delay_ms / 1000

    def environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(asdict(self))}


def read_setup() -> Setup:
    """Raises KeyError where the variable is not set."""
    return Setup(**json.loads(os.environ[VARIABLE]))


@dataclass(frozen=True)
class Item:
    """One item, its tensors without batch dimension, and the text that it came from."""

    tensors: tuple[Array, ...]
    text: str = ""


class Work(Protocol):
    """Decodes, runs and encodes; `run` takes the items of one batch."""

    content_type: str

    def decode(self, body: bytes) -> Item: ...
    def run(self, items: Sequence[Item]) -> list[Array]: ...
    def encode(self, item: Item, row: Array) -> bytes: ...


class TensorWork:
    """The model file alone."""

    content_type = "application/octet-stream"

    def __init__(self, model: Path, threads: int, *, spin: bool = False) -> None:
        self.session = open_session(model / "1" / "model.onnx", threads, spin=spin)
        self.names = [node.name for node in self.session.get_inputs()]
        self.dtypes = [np.dtype(_DTYPES[node.type]) for node in self.session.get_inputs()]
        self.shapes = [list(node.shape[1:]) for node in self.session.get_inputs()]
        self.fetch = [self.session.get_outputs()[0].name]

    def decode(self, body: bytes) -> Item:
        """Sizes that the model leaves open are one length, which the body's size tells."""
        fixed = [math.prod(size for size in shape if isinstance(size, int)) for shape in self.shapes]
        unit = sum(dtype.itemsize * count for dtype, count in zip(self.dtypes, fixed, strict=True))
        length, tensors, at = len(body) // unit, [], 0
        for dtype, shape in zip(self.dtypes, self.shapes, strict=True):
            sizes = [size if isinstance(size, int) else length for size in shape]
            count = math.prod(sizes)
            tensors.append(np.frombuffer(body, dtype, count, at).reshape(sizes))
            at += count * dtype.itemsize
        if at != len(body):
            raise ValueError(f"{len(body)} bytes are no item")
        return Item(tuple(tensors))

    def run(self, items: Sequence[Item]) -> list[Array]:
        """A row for each item."""
        feed = {name: stack([item.tensors[at] for item in items]) for at, name in enumerate(self.names)}
        return list(self.session.run(self.fetch, feed)[0])

    def encode(self, item: Item, row: Array) -> bytes:
        return row.tobytes()


class TextWork(TensorWork):
    """The pipeline of a text classification, its steps those of the platform."""

    content_type = "application/json"

    def __init__(self, model: Path, threads: int) -> None:
        super().__init__(model, threads)
        # Only here, because a framework's environment need not have what they need.
        from trireme_common.model_spec import read_model_spec
        from trireme_common.steps import Assets
        from trireme_postprocess.steps import build_chain
        from trireme_preprocess.steps import VOCABULARY

        spec, assets = read_model_spec(model / "model.yaml"), Assets(model / "1")
        before = [(step.name, step.parameters) for step in spec.preprocess]
        after = [(step.name, step.parameters) for step in spec.postprocess]
        self._name = model.name
        self._before = VOCABULARY.build(before, assets, "text")
        self._after = build_chain(spec.task, after, assets)

    def decode(self, body: bytes) -> Item:
        (text,) = orjson.loads(body)["texts"]
        return self.item(text)

    def item(self, text: str) -> Item:
        """Raises ItemError for a text that the steps refuse."""
        tensors = self._before(text)
        given = zip(self.names, self.dtypes, strict=True)
        return Item(tuple(np.asarray(tensors[name], dtype) for name, dtype in given), text)

    def answer(self, item: Item, row: Array) -> dict[str, Any]:
        """The item's answer as the platform writes it."""
        answer = self._after(np.asarray(row, np.float64))
        return {
            "text": item.text,
            "label": answer.label,
            "confidence": answer.confidence,
            "probabilities": answer.by_label,
        }

    def encode(self, item: Item, row: Array) -> bytes:
        content = {"results": [self.answer(item, row)], "model": self._name, "version": "1"}
        return orjson.dumps(content)


def open_work(setup: Setup) -> TensorWork:
    """The work of one worker of `setup`."""
    made = TensorWork if setup.mode == "tensors" else TextWork
    return made(Path(setup.model), setup.threads)


def stack(tensors: Sequence[Array]) -> Array:
    """One batch; items shorter than the longest are filled up with zeros."""
    if len(tensors) == 1:
        return tensors[0][np.newaxis]
    longest = max(tensor.shape for tensor in tensors)
    if all(tensor.shape == longest for tensor in tensors):
        return np.stack(tensors)
    batch = np.zeros((len(tensors), *longest), tensors[0].dtype)
    for row, tensor in zip(batch, tensors, strict=True):
        row[tuple(slice(size) for size in tensor.shape)] = tensor
    return batch


def open_session(path: Path, threads: int, *, spin: bool = False) -> Any:
    """onnxruntime on the CPU, with the session options of the inference service."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
