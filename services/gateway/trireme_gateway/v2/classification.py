"""Triton's classification extension: the k largest values of an output as "value:index[:label]"."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Array, Tensor, encode_bytes

MAX_ELEMENTS = 1_000_000  # as in Triton: what is sorted is bounded, whatever the tensor


def classify(
    tensor: Tensor, count: int, labels: Sequence[str], *, batched: bool, own: bool = False
) -> Tensor:
    """BYTES [N, k] of a batch (its first dimension), else BYTES [k]; k is at most the number of classes.

    Labels are added where there is one for each class or, where they are the output's `own`, as far as
    they go. Raises TriremeError(INVALID_ARGUMENT) for datatypes that have no order.
    """
    if tensor.datatype in ("BYTES", "BOOL"):
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"output '{tensor.name}': classification needs numbers, not {tensor.datatype}",
        )
    array = _numbers(tensor)
    if array.size > MAX_ELEMENTS:
        raise TriremeError(
            Code.INVALID_ARGUMENT,
            f"output '{tensor.name}': classification takes at most {MAX_ELEMENTS} elements, not {array.size}",
        )
    batched = batched and array.ndim > 0
    rows = array.reshape(
        array.shape[0] if batched else 1, math.prod(array.shape[1:] if batched else array.shape)
    )
    count = min(count, rows.shape[1])
    order = _descending(rows)[:, :count]
    named = labels if own or len(labels) == rows.shape[1] else ()
    elements = [
        _entry(row[index], index, named)
        for row, best in zip(rows, order.tolist(), strict=True)
        for index in best
    ]
    shape = (len(rows), count) if batched else (count,)
    return Tensor(tensor.name, "BYTES", shape, encode_bytes(elements))


def _numbers(tensor: Tensor) -> Array:
    array = tensor.array()
    if tensor.datatype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


def _descending(rows: Array) -> Array:
    """Places of each row's values, the largest first, equal ones in their order, NaN last."""
    if rows.dtype.kind == "f":
        order: Array = np.argsort(-rows, axis=1, kind="stable")
        return order
    # Negated, the smallest of signed numbers and all unsigned ones would be others.
    backwards: Array = np.argsort(rows[:, ::-1], axis=1, kind="stable")[:, ::-1]
    places: Array = rows.shape[1] - 1 - backwards
    return places


def _entry(value: np.generic, index: int, labels: Sequence[str]) -> bytes:
    number = f"{value:f}" if isinstance(value, np.floating) else str(value)
    label = f":{labels[index]}" if index < len(labels) and labels[index] else ""
    return f"{number}:{index}{label}".encode()
