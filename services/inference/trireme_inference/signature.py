"""What a model takes and gives: checks requests, joins them to one feed, splits the outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array, Tensor, decode_bytes, dtype_of, encode_bytes
from trireme_inference.backend import RunError
from trireme_inference.requests import Part, Request, Shapes
from trireme_inference.shape_buckets import ShapeBuckets, pad_rows

Row = tuple[Part, ...]
Stack = Callable[[Sequence[Part]], Part | Array]
"""The parts one after the other; an Array is one of bytes."""


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a model version.

    `batchable`: every tensor has the batch as its free first dimension, so that the rows of many
    requests may run together. Otherwise a request is one row, whatever its shapes.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    batchable: bool = True
    buckets: ShapeBuckets | None = None
    """Where given, requests of several lengths share a run."""
    fetch: tuple[str, ...] = field(init=False)
    """Names of the outputs."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fetch", tuple(info.name for info in self.outputs))

    def check(self, tensors: Sequence[Tensor]) -> tuple[Row, Shapes, int]:
        """Parts, shapes and rows of a Request.

        Raises TriremeError: WRONG_SHAPE for a shape that the model does not take, INVALID_ARGUMENT
        for names, datatypes and byte counts that do not fit.
        """
        parts: list[Part] = []
        shapes: list[tuple[int, ...]] = []
        rows = 0
        for info, tensor in zip(self.inputs, self._in_order(tensors), strict=True):
            _check_tensor(info, tensor)
            parts.append(tensor.data)
            if not self.batchable:
                shapes.append(tensor.shape)
                continue
            shapes.append(tensor.shape[1:])
            if len(parts) > 1 and tensor.shape[0] != rows:
                raise TriremeError(
                    Code.WRONG_SHAPE,
                    f"input '{info.name}' has {tensor.shape[0]} rows, but '{self.inputs[0].name}' has {rows}",
                )
            rows = tensor.shape[0]
            if rows == 0:
                raise TriremeError(
                    Code.WRONG_SHAPE, f"input '{info.name}': shape {list(tensor.shape)} has no rows"
                )
        return tuple(parts), tuple(shapes), rows if self.batchable else 1

    def _in_order(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        if len(tensors) == 1 == len(self.inputs) and tensors[0].name == self.inputs[0].name:
            return tensors
        by_name = {tensor.name: tensor for tensor in tensors}
        expected = [info.name for info in self.inputs]
        if len(by_name) != len(tensors):
            twice = next(name for name in by_name if [tensor.name for tensor in tensors].count(name) > 1)
            raise TriremeError(Code.INVALID_ARGUMENT, f"input '{twice}' is given twice")
        missing = [name for name in expected if name not in by_name]
        unknown = [name for name in by_name if name not in expected]
        if missing or unknown:
            problem = f"input '{missing[0]}' is missing" if missing else f"unknown input '{unknown[0]}'"
            raise TriremeError(Code.INVALID_ARGUMENT, f"{problem}; the model takes {', '.join(expected)}")
        return [by_name[name] for name in expected]

    def key(self, request: Request) -> Shapes:
        """What requests must have in common to share a run: the shapes of their rows in it."""
        return request.shapes if self.buckets is None else self.buckets.padded(request.shapes)

    def feed(
        self, requests: Sequence[Request], stack: Stack | None = None, given: Sequence[Row] | None = None
    ) -> dict[str, Array]:
        """Arrays for one run over requests of equal key, copied once, or not at all for one request.

        `stack` copies the parts of an input to where the run wants them. `given`: the parts of each
        request, where it may let go of them meanwhile.
        """
        given = given or [request.parts for request in requests]
        rows = sum(request.rows for request in requests)
        key = self.key(requests[0])
        as_they_are = self.buckets is None or all(request.shapes == key for request in requests)
        feed = {}
        for position, info in enumerate(self.inputs):
            parts = [row[position] for row in given]
            if as_they_are:
                # BYTES are taken apart here, wherever the run is.
                copy = joined if stack is None or info.datatype == "BYTES" else stack
                data = copy(parts)
                feed[info.name] = to_array(
                    info, data, (rows, *key[position]) if self.batchable else key[position]
                )
            else:
                arrays = [
                    to_array(info, part, (request.rows, *request.shapes[position]))
                    for part, request in zip(parts, requests, strict=True)
                ]
                feed[info.name] = pad_rows(arrays, key[position])
        return feed

    def split(self, outputs: Sequence[Array], requests: Sequence[Request]) -> list[tuple[Row, Shapes]]:
        """Bytes and shapes of the outputs for every one of the requests that were fed.

        The slices refer to the memory of `outputs`. Raises RunError where an output has another
        number of rows than the input.
        """
        if not self.batchable:
            return [(tuple(_whole(output) for output in outputs), tuple(output.shape for output in outputs))]
        rows = [request.rows for request in requests]
        total = sum(rows)
        for info, output in zip(self.outputs, outputs, strict=True):
            if output.ndim == 0 or output.shape[0] != total:
                got = output.shape[0] if output.ndim else "no"
                raise RunError(f"output '{info.name}' has {got} rows for {total} rows of input")
        if self.buckets is not None and any(request.shapes != self.key(request) for request in requests):
            return _split_padded(self.buckets, outputs, requests)
        cut = [_cut(output, rows) for output in outputs]
        shapes = {count: tuple((count, *output.shape[1:]) for output in outputs) for count in set(rows)}
        return [(parts, shapes[count]) for parts, count in zip(zip(*cut, strict=True), rows, strict=True)]


def batches(inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> bool:
    """True where every tensor has a free first dimension."""
    return all(info.shape[:1] == (-1,) for info in (*inputs, *outputs))


def joined(parts: Sequence[Part]) -> Part:
    """The parts one after the other; not copied where there is but one."""
    return parts[0] if len(parts) == 1 else b"".join(parts)


def to_array(info: TensorInfo, data: Part | Array, shape: tuple[int, ...]) -> Array:
    """Ndarray of checked bytes, not to be written to; BYTES give an object array of bytes."""
    dtype = dtype_of(info.datatype)
    if dtype is not None:
        array = np.frombuffer(data, dtype=dtype).reshape(shape)
        # A view begins wherever its tensor stands in the payload, which not every kernel can read.
        return array if array.flags.aligned else array.copy()
    elements = decode_bytes(info.name, bytes(data))
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape)


def _check_tensor(info: TensorInfo, tensor: Tensor) -> None:
    if tensor.datatype != info.datatype:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"input '{info.name}': datatype {tensor.datatype}, but the model takes {info.datatype}",
        )
    shape = tensor.shape
    if len(shape) != len(info.shape) or any(
        got < 0 or (got != want and want != -1) for got, want in zip(shape, info.shape, strict=True)
    ):
        raise TriremeError(
            Code.WRONG_SHAPE,
            f"input '{info.name}': shape {list(shape)}, but the model takes {list(info.shape)}",
        )
    count = math.prod(shape)
    dtype = dtype_of(info.datatype)
    if dtype is None:
        got, unit, want = _count_texts(info, tensor), "BYTES elements", count
    else:
        got, unit, want = len(tensor.data), "bytes of data", count * dtype.itemsize
    if got != want:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"input '{info.name}': {got} {unit}, but shape {list(shape)} of {info.datatype} takes {want}",
        )
    if info.datatype == "BOOL" and bytes(tensor.data).strip(b"\0\1"):
        raise TriremeError(
            Code.INVALID_ARGUMENT, f"input '{info.name}': an element of BOOL is the byte 0 or 1"
        )


def _count_texts(info: TensorInfo, tensor: Tensor) -> int:
    """Elements of BYTES, which have to be text: it is all that ONNX's strings can be here."""
    elements = decode_bytes(info.name, tensor.data)
    try:
        b"\0".join(elements).decode()  # a character cut short does not go on behind the zero
    except UnicodeDecodeError as error:
        raise TriremeError(
            Code.INVALID_ARGUMENT, f"input '{info.name}': the model takes UTF-8 text"
        ) from error
    return len(elements)


def _cut(output: Array, rows: Sequence[int]) -> list[Part]:
    if output.dtype == np.object_:
        ends = np.cumsum(rows).tolist()
        return [
            encode_bytes(output[end - count : end].ravel().tolist())
            for end, count in zip(ends, rows, strict=True)
        ]
    whole = _whole(output)
    size = len(whole) // len(output)
    cut: list[Part] = []
    start = 0
    for count in rows:
        cut.append(whole[start : start + count * size])
        start += count * size
    return cut


def _split_padded(
    buckets: ShapeBuckets, outputs: Sequence[Array], requests: Sequence[Request]
) -> list[tuple[Row, Shapes]]:
    ends = np.cumsum([request.rows for request in requests])[:-1]
    columns = [
        np.split(output, ends) if axis is None else buckets.cut(output, axis, requests)
        for output, axis in zip(outputs, buckets.outputs, strict=True)
    ]
    return [
        (tuple(_whole(piece) for piece in pieces), tuple(piece.shape for piece in pieces))
        for pieces in zip(*columns, strict=True)
    ]


def _whole(output: Array) -> Part:
    if output.dtype == np.object_:
        return encode_bytes(output.ravel().tolist())
    return np.ascontiguousarray(output).reshape(-1).view(np.uint8).data
