"""The variants themselves, made by ONNX Runtime's own tools.

Weights are int8 per channel in 7 bits, activations uint8: ONNX Runtime's kernels for x86-64 without
VNNI add pairs of products in 16 bits, which 8-bit weights overflow (measured: ten times the error, and
S8S8 at a third of the speed); docs/optimize.md has the figures. Static quantisation is QDQ, its ranges
come from the calibration items. Dynamic quantisation takes the range of every activation from the batch
at hand, so an answer may depend on its neighbours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from trireme_lab.failure import LabFailure
from trireme_lab.optimization.samples import Feeds

# Elsewhere there is little to win and much to lose: a softmax or a layer norm in 8 bits.
_WITH_WEIGHTS = ["Conv", "Gather", "Gemm", "MatMul"]

Maker = Callable[[Path, Path, Sequence[Feeds]], None]
"""Source file, target file, calibration items."""


def make(variant: str, source: Path, target: Path, calibration: Sequence[Feeds]) -> None:
    """Writes one of VARIANTS. Raises LabFailure where the tool cannot make it of this model."""
    try:
        with _quiet():
            VARIANTS[variant](source, target, calibration)
    except Exception as error:  # the tools raise whatever a foreign graph makes them stumble over
        reason = str(error).strip().partition("\n")[0][:300]
        raise LabFailure(f"ONNX Runtime could not make it: {type(error).__name__}: {reason}") from error


def _graph(source: Path, target: Path, calibration: Sequence[Feeds]) -> None:
    """What the runtime would do at every start, done once. Extended, not all: the rest is bound to the
    very CPU that it was made on."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _int8_dynamic(source: Path, target: Path, calibration: Sequence[Feeds]) -> None:
    prepared = _prepared(source, target)
    quantize_dynamic(prepared, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def _int8_static(source: Path, target: Path, calibration: Sequence[Feeds]) -> None:
    quantize_static(
        _prepared(source, target),
        target,
        _Reader(calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        op_types_to_quantize=_WITH_WEIGHTS,
        extra_options={"MatMulConstBOnly": True},
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _fp16(source: Path, target: Path, calibration: Sequence[Feeds]) -> None:
    """Inputs and outputs stay as they are, so that requests and steps do."""
    onnx.save(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), str(target))


VARIANTS: Mapping[str, Maker] = {
    "graph": _graph,
    "int8-dynamic": _int8_dynamic,
    "int8-static": _int8_static,
    "fp16": _fp16,
}


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # an untyped library's class
    def __init__(self, items: Sequence[Feeds]) -> None:
        self._items: Iterator[Feeds] = iter(items)

    def get_next(self) -> Any:
        return next(self._items, None)


def _prepared(source: Path, target: Path) -> Path:
    """The model with the shapes that quantisation looks for, beside the target."""
    prepared = target.with_suffix(".prepared.onnx")
    try:
        quant_pre_process(source, prepared)
    except Exception:  # symbolic shapes are a help, not a need, and not every graph has them
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
    return prepared


@contextmanager
def _quiet() -> Iterator[None]:
    """The tools talk through the root logger about steps that nobody asked for."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
