"""Triton's classification extension: the k largest values of an output as "value:index[:label]"."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Array, Tensor, encode_bytes


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
    batched = batched and array.ndim > 0
    rows = array.reshape(
        array.shape[0] if batched else 1, math.prod(array.shape[1:] if batched else array.shape)
    )
    count = min(count, rows.shape[1])
    order = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
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


def _entry(value: np.generic, index: int, labels: Sequence[str]) -> bytes:
    number = f"{value:f}" if isinstance(value, np.floating) else str(value)
    label = f":{labels[index]}" if index < len(labels) and labels[index] else ""
    return f"{number}:{index}{label}".encode()
