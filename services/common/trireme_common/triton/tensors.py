"""`input` and `output` of a config.pbtxt: shapes with their batch dimension, and reshapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from trireme_common.triton.pbtxt import ParsedConfig
from trireme_protos.inference.model_config_pb2 import DataType, ModelInput, ModelOutput

Side = Literal["input", "output"]
Shape = tuple[int, ...]

_PREFIX = "TYPE_"


@dataclass(frozen=True)
class Tensors:
    """One side of a model. `specs` is empty where the model file alone says what it takes or gives."""

    specs: tuple[dict[str, Any], ...] = ()
    """`name`, `datatype` and `shape`, batch dimension first, as model.yaml has them."""
    file_shapes: Mapping[str, Shape] = field(default_factory=dict)
    """Shape in the model file, batch dimension first, of the tensors that are reshaped."""


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
        if tensor.HasField("reshape"):
            _check_reshape(config, side, at, tensor)
            file_shapes[tensor.name] = (*batch, *tensor.reshape.shape)
    if not all(tensor.data_type and (tensor.dims or tensor.HasField("reshape")) for tensor in tensors):
        return Tensors(file_shapes=file_shapes)
    specs = tuple(
        {
            "name": tensor.name,
            "datatype": datatype_of(tensor.data_type),
            "shape": (*batch, *tensor.dims),
        }
        for tensor in tensors
    )
    return Tensors(specs, file_shapes)


def _check_reshape(config: ParsedConfig, side: Side, at: int, tensor: ModelInput | ModelOutput) -> None:
    dims, shape = list(tensor.dims), list(tensor.reshape.shape)
    if not tensor.data_type or not dims:
        raise config.error("a reshape needs data_type and dims", side, at, "reshape")
    free = dims.count(-1), shape.count(-1)
    if max(free) > 1:
        raise config.error("one size of a reshape may be -1, not more", side, at, "reshape")
    if free[0] != free[1] or (not free[0] and math.prod(dims) != math.prod(shape)):
        raise config.error(f"dims {dims} and shape {shape} have not the same elements", side, at, "reshape")
