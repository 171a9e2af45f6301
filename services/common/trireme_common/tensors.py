"""Named tensors as raw bytes, and their conversion to numpy arrays.

Datatypes bear the Open Inference Protocol's names. Bytes are row-major and little-endian; an
element of BYTES stands behind its length as a 4-byte little-endian integer, as in the protocol's
binary form, so tensors pass between the protocol and the hops without conversion.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trireme_common.errors import Code, TriremeError
from trireme_common.wire import length_delimited
from trireme_protos.trireme.v1 import envelope_pb2

Array = npt.NDArray[Any]
Data = bytes | memoryview
"""Raw bytes; a view refers to the body or the message that they came in."""

# Numbers of the fields in envelope.proto.
_TENSORS_FIELD = 1
_DATA_FIELD = 4

# BF16 has no numpy dtype: its arrays are the raw 16 bits.
_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),
}
DATATYPES = (*_DTYPES, "BYTES")
_NAMES = {dtype: name for name, dtype in _DTYPES.items() if name != "BF16"}


class Tensor(NamedTuple):  # of all immutable kinds the quickest to make, and every hop makes them
    """`data` holds prod(`shape`) elements of `datatype` as raw bytes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Data

    def array(self) -> Array:
        """Read-only ndarray of `shape`; BYTES give an object array of bytes.

        Raises TriremeError(INVALID_ARGUMENT) where datatype, shape and bytes do not agree.
        """
        if self.datatype == "BYTES":
            return _bytes_array(self)
        dtype = _DTYPES.get(self.datatype)
        if dtype is None:
            raise TriremeError(
                Code.INVALID_ARGUMENT, f"tensor '{self.name}': unknown datatype '{self.datatype}'"
            )
        check_shape(self.name, self.shape)
        expected = math.prod(self.shape) * dtype.itemsize
        if expected != len(self.data):
            raise TriremeError(
                Code.INVALID_ARGUMENT,
                f"tensor '{self.name}': {len(self.data)} bytes of data, but shape {list(self.shape)} of "
                f"{self.datatype} takes {expected}",
            )
        return np.frombuffer(self.data, dtype=dtype).reshape(self.shape)

    @classmethod
    def of(cls, name: str, array: Array) -> Tensor:
        """Tensor of a numeric or boolean ndarray, or of an object array of bytes."""
        if array.dtype == np.object_:
            return cls(name, "BYTES", array.shape, encode_bytes(array.ravel().tolist()))
        datatype = _NAMES.get(array.dtype.newbyteorder("<"))
        if datatype is None:
            raise TypeError(f"tensor '{name}': no datatype for {array.dtype}")
        return cls(name, datatype, array.shape, np.ascontiguousarray(array).tobytes())


def check_shape(name: str, shape: Sequence[int]) -> None:
    """Raises TriremeError(INVALID_ARGUMENT) for a negative dimension."""
    if any(dimension < 0 for dimension in shape):
        raise TriremeError(
            Code.INVALID_ARGUMENT, f"tensor '{name}': negative dimension in shape {list(shape)}"
        )


def dtype_of(datatype: str) -> np.dtype[Any] | None:
    """Numpy dtype of a protocol datatype; None for BYTES and for unknown names."""
    return _DTYPES.get(datatype)


def datatype_of(dtype: np.dtype[Any]) -> str:
    """Protocol name of a numpy dtype. Raises KeyError where the protocol has none."""
    return _NAMES[dtype.newbyteorder("<")]


def encode_bytes(elements: Iterable[bytes]) -> bytes:
    """BYTES elements, each behind its 4-byte little-endian length."""
    return b"".join(part for element in elements for part in (struct.pack("<I", len(element)), element))


def decode_bytes(name: str, data: Data) -> list[bytes]:
    """Elements of a BYTES tensor. Raises TriremeError(INVALID_ARGUMENT) where a length overruns."""
    data = bytes(data)  # a slice of a view would be no bytes
    elements = []
    position = 0
    while position < len(data):
        start = position + 4
        end = start + int.from_bytes(data[position:start], "little")
        if start > len(data) or end > len(data):
            raise TriremeError(Code.INVALID_ARGUMENT, f"tensor '{name}': a BYTES element overruns its data")
        elements.append(data[start:end])
        position = end
    return elements


def _bytes_array(tensor: Tensor) -> Array:
    check_shape(tensor.name, tensor.shape)
    elements = decode_bytes(tensor.name, tensor.data)
    if len(elements) != math.prod(tensor.shape):
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"tensor '{tensor.name}': {len(elements)} BYTES elements, but shape {list(tensor.shape)} takes "
            f"{math.prod(tensor.shape)}",
        )
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(tensor.shape)


def encode_tensors(tensors: Iterable[Tensor]) -> bytes:
    """Serialised `trireme.v1.Tensors`: an item's payload."""
    return b"".join(
        piece
        for name, datatype, shape, data in tensors
        for piece in (tensor_head(name, datatype, shape, len(data)), data)
    )


@lru_cache(4096)  # what is in the shape, and how long the data is, is the caller's
def tensor_head(name: str, datatype: str, shape: tuple[int, ...], size: int) -> bytes:
    """What of a serialised `Tensors` stands before the data of one of its tensors, which has `size` bytes.

    Data is written behind it by hand, as wire.py says why.
    """
    tensor = envelope_pb2.Tensor(name=name, datatype=datatype, shape=shape).SerializeToString()
    if size:
        tensor += length_delimited(_DATA_FIELD, size)
    return length_delimited(_TENSORS_FIELD, len(tensor) + size) + tensor


def decode_tensors(payload: bytes) -> tuple[Tensor, ...]:
    """Inverse of `encode_tensors`. Raises TriremeError(INVALID_ARGUMENT) for malformed bytes."""
    try:
        message = envelope_pb2.Tensors.FromString(payload)
    except Exception as error:  # upb raises google.protobuf.message.DecodeError, which is untyped
        raise TriremeError(Code.INVALID_ARGUMENT, "payload is not a trireme.v1.Tensors message") from error
    return tuple(
        Tensor(tensor.name, tensor.datatype, tuple(tensor.shape), tensor.data) for tensor in message.tensors
    )
