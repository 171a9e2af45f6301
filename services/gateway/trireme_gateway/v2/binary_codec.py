"""Tensor data as raw bytes: behind the JSON of a REST body, or as raw contents over gRPC."""

from __future__ import annotations

import math
from collections.abc import Sequence

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import DATATYPES, Data, Tensor, check_shape, dtype_of

_MAX_DIMENSIONS = 64  # numpy's own
_MAX_ELEMENTS = 1 << 48  # beyond any body, and far enough from where 64-bit sizes overflow


def check_form(name: str, datatype: str, shape: Sequence[int]) -> int:
    """Number of elements of a tensor. Raises TriremeError(INVALID_ARGUMENT) for what no tensor can have."""
    if datatype not in DATATYPES:
        raise TriremeError(Code.INVALID_ARGUMENT, f"tensor '{name}': unknown datatype '{datatype}'")
    if len(shape) > _MAX_DIMENSIONS:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"tensor '{name}': {len(shape)} dimensions, at most {_MAX_DIMENSIONS} are possible",
        )
    check_shape(name, shape)
    if math.prod(dimension or 1 for dimension in shape) > _MAX_ELEMENTS:
        raise TriremeError(
            Code.INVALID_ARGUMENT, f"tensor '{name}': shape {list(shape)} is larger than any data"
        )
    return math.prod(shape)


def decode_binary(name: str, datatype: str, shape: Sequence[int], data: Data) -> Tensor:
    """Tensor of raw bytes. Raises TriremeError(INVALID_ARGUMENT) where they do not fit datatype and shape."""
    return fill(name, datatype, tuple(shape), check_form(name, datatype, shape), data)


def fill(name: str, datatype: str, shape: tuple[int, ...], count: int, data: Data) -> Tensor:
    """As `decode_binary`, with what `check_form` has said."""
    dtype = dtype_of(datatype)
    if dtype is None:
        got, unit, want = _count_elements(name, data), "BYTES elements", count
    else:
        got, unit, want = len(data), "bytes of data", count * dtype.itemsize
    if got != want:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"tensor '{name}': {got} {unit}, but shape {list(shape)} of {datatype} takes {want}",
        )
    if datatype == "BOOL" and bytes(data).strip(b"\0\1"):
        raise TriremeError(Code.INVALID_ARGUMENT, f"tensor '{name}': an element of BOOL is the byte 0 or 1")
    return Tensor(name, datatype, shape, data)


def _count_elements(name: str, data: Data) -> int:
    """Walks the lengths without copying the elements."""
    count = position = 0
    size = len(data)
    while position < size:
        position += 4 + int.from_bytes(data[position : position + 4], "little")
        count += 1
    if position > size or 0 < size < 4:
        raise TriremeError(Code.INVALID_ARGUMENT, f"tensor '{name}': a BYTES element overruns its data")
    return count


def split_body(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    """JSON and binary part of a REST body, which is not copied; `header_length` is
    `Inference-Header-Content-Length`.

    Raises TriremeError(INVALID_ARGUMENT) for a length that is no number or longer than the body.
    """
    if header_length is None:
        return body, memoryview(b"")
    known = header_length.isascii() and header_length.isdigit() and len(header_length) < 16
    length = int(header_length) if known else -1
    if not 0 < length <= len(body):
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            "Inference-Header-Content-Length must be the length of the JSON at the head of the body, "
            f"from 1 to {len(body)}; 0 says that the whole body is the data of the model's one input",
        )
    return body[:length], memoryview(body)[length:]


class BinaryReader:
    """Hands out the binary part of a body, piece by piece, in the order of the inputs."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def take(self, name: str, size: object) -> memoryview:
        """The next `size` bytes, the `binary_data_size` of the input `name`."""
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise TriremeError(
                Code.INVALID_ARGUMENT, f"tensor '{name}': binary_data_size must be a whole number, 0 or more"
            )
        left = len(self._data) - self._position
        if size > left:
            raise TriremeError(
                Code.INVALID_ARGUMENT,
                f"tensor '{name}': binary_data_size is {size}, but {left} bytes are left behind the JSON "
                "(is Inference-Header-Content-Length set?)",
            )
        start, self._position = self._position, self._position + size
        return self._data[start : self._position]

    def finish(self) -> None:
        """Raises TriremeError(INVALID_ARGUMENT) where bytes are left that belong to no input."""
        left = len(self._data) - self._position
        if left:
            raise TriremeError(Code.INVALID_ARGUMENT, f"{left} bytes behind the JSON belong to no input")
