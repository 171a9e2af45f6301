"""Typed tensor contents of the protocol's gRPC messages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trireme_common.errors import Code, TriremeError
from trireme_common.oip_contents import FIELDS
from trireme_common.tensors import Tensor, dtype_of, encode_bytes
from trireme_gateway.v2.binary_codec import check_form
from trireme_protos.inference import grpc_service_pb2 as pb

_NARROW = {"int_contents": np.dtype(np.int32), "uint_contents": np.dtype(np.uint32)}


def decode_contents(
    name: str, datatype: str, shape: Sequence[int], contents: pb.InferTensorContents
) -> Tensor:
    """Tensor of typed contents. Raises TriremeError(INVALID_ARGUMENT) for what does not fit."""
    count = check_form(name, datatype, shape)
    field = FIELDS.get(datatype)
    if field is None:
        raise _wrong(name, f"{datatype} has no typed contents; send it in raw_input_contents")
    for descriptor, _ in contents.ListFields():
        if descriptor.name != field:
            raise _wrong(name, f"{datatype} belongs in {field}, not in {descriptor.name}")
    values = getattr(contents, field)
    if len(values) != count:
        raise _wrong(name, f"{len(values)} elements of data, but shape {list(shape)} takes {count}")
    data = encode_bytes(values) if datatype == "BYTES" else _numbers(name, datatype, field, values)
    return Tensor(name, datatype, tuple(shape), data)


def _numbers(name: str, datatype: str, field: str, values: Sequence[float]) -> bytes:
    dtype = dtype_of(datatype)
    assert dtype is not None
    wide = np.fromiter(values, dtype=_NARROW.get(field, dtype), count=len(values))
    array = wide.astype(dtype)
    if field in _NARROW and not np.array_equal(array, wide):
        raise _wrong(name, f"a number is out of the range of {datatype}")
    return array.tobytes()


def _wrong(name: str, what: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, f"tensor '{name}': {what}")
