"""`input` and `output` of a config.pbtxt: shapes with their batch dimension, and reshapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

from trireme_common.triton.pbtxt import ParsedConfig
from trireme_protos.inference.model_config_pb2 import DataType, ModelInput, ModelOutput

Side = Literal["input", "output"]
Shape = tuple[int, ...]

_PREFIX = "TYPE_"


@dataclass(frozen=True)
class Declared:
    """A tensor as far as a configuration describes it; the rest is as in the model file."""

    name: str
    datatype: str
    """Empty where it is left out."""
    shape: Shape | None
    """Batch dimension first; None where `dims` are left out."""


@dataclass(frozen=True)
class Tensors:
    """One side of a model."""

    declared: tuple[Declared, ...] = ()
    file_shapes: Mapping[str, Shape] = field(default_factory=dict)
    """Shape in the model file, batch dimension first, of the tensors that are reshaped."""

    def specs(self) -> tuple[dict[str, Any], ...]:
        """`name`, `datatype` and `shape` as model.yaml has them; none where any of them is left out, for
        then the model file alone knows."""
        if not all(tensor.datatype and tensor.shape is not None for tensor in self.declared):
            return ()
        return tuple(asdict(tensor) for tensor in self.declared)


def datatype_of(data_type: int) -> str:
    """The protocol's name of Triton's TYPE_...; empty for TYPE_INVALID."""
    if data_type == DataType.TYPE_INVALID:
        return ""
    name = DataType.Name(cast(DataType, data_type)).removeprefix(_PREFIX)
    return "BYTES" if name == "STRING" else name


def data_type_of(datatype: str) -> DataType:
    """Inverse of `datatype_of`."""
    return cast(DataType, DataType.Value(type_name(datatype)))


def type_name(datatype: str) -> str:
    """Triton's name of the protocol's `datatype`."""
    return _PREFIX + ("STRING" if datatype == "BYTES" else datatype)


def read_tensors(config: ParsedConfig, side: Side, *, batched: bool) -> Tensors:
    """`batched`: a batch dimension stands before `dims` without being written. Raises SpecError."""
    tensors: Sequence[ModelInput | ModelOutput] = getattr(config.message, side)
    batch = (-1,) if batched else ()
    names: list[str] = []
    file_shapes: dict[str, Shape] = {}
    for at, tensor in enumerate(tensors):
        if not tensor.name or tensor.name in names:
            problem = "stands twice" if tensor.name else "is missing"
            raise config.error(f"name '{tensor.name}' {problem}", side, at, "name")
        names.append(tensor.name)
        if any(size == 0 or size < -1 for size in tensor.dims):
            raise config.error("dimensions are positive, or -1 for any size", side, at, "dims")
        if tensor.HasField("reshape"):
            _check_reshape(config, side, at, tensor)
            file_shapes[tensor.name] = (*batch, *tensor.reshape.shape)
    declared = (
        Declared(tensor.name, datatype_of(tensor.data_type), (*batch, *tensor.dims) if tensor.dims else None)
        for tensor in tensors
    )
    return Tensors(tuple(declared), file_shapes)


def _check_reshape(config: ParsedConfig, side: Side, at: int, tensor: ModelInput | ModelOutput) -> None:
    dims, shape = list(tensor.dims), list(tensor.reshape.shape)
    if not tensor.data_type or not dims:
        raise config.error("a reshape needs data_type and dims", side, at, "reshape")
    free = dims.count(-1), shape.count(-1)
    if max(free) > 1:
        raise config.error("one size of a reshape may be -1, not more", side, at, "reshape")
    if free[0] != free[1] or (not free[0] and math.prod(dims) != math.prod(shape)):
        raise config.error(f"dims {dims} and shape {shape} have not the same elements", side, at, "reshape")
