"""Tensor data as JSON, flat or nested. Types and ranges are checked by numpy and set operations,
never element by element, so that a large tensor costs little more than its parsing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Array, Tensor, decode_bytes, dtype_of, encode_bytes
from trireme_gateway.v2.binary_codec import check_form

_FLOATS = ("FP16", "FP32", "FP64")
_MAX_NESTING = 64
_WORDS = {bool: "booleans", int: "whole numbers", float: "decimals", str: "strings", type(None): "null"}


def decode_json(name: str, datatype: str, shape: Sequence[int], data: Any) -> Tensor:
    """Tensor of JSON data, row-major. Nested data must agree with the shape, but for dimensions of 1.

    Raises TriremeError(INVALID_ARGUMENT), naming the tensor, for anything that does not fit.
    """
    count = check_form(name, datatype, shape)
    if datatype == "BF16":
        raise _wrong(name, "BF16 has no JSON form; send it as binary data")
    elements, nesting = _flatten(name, data)
    if len(elements) != count:
        raise _wrong(name, f"{len(elements)} elements of data, but shape {list(shape)} takes {count}")
    if len(nesting) > 1 and _without_ones(nesting) != _without_ones(shape):
        raise _wrong(name, f"data is nested as {nesting}, but the shape is {list(shape)}")
    _check_types(name, datatype, elements)
    if datatype == "BYTES":
        return Tensor(name, datatype, tuple(shape), encode_bytes(map(str.encode, elements)))
    convert = _floats if datatype in _FLOATS else _integers
    return Tensor(name, datatype, tuple(shape), convert(name, datatype, elements).tobytes())


def encode_json(tensor: Tensor) -> Any:
    """Flat data of a tensor, as orjson takes it.

    Raises TriremeError(INVALID_ARGUMENT) for what JSON cannot say: NaN, infinity, BF16, bytes that
    are not UTF-8.
    """
    if tensor.datatype == "BYTES":
        return _strings(tensor)
    if tensor.datatype == "BF16":
        raise _needs_binary(tensor, "is BF16, which has no JSON form")
    array = tensor.array().reshape(-1)
    if tensor.datatype in _FLOATS and not np.isfinite(array).all():
        raise _needs_binary(tensor, "holds NaN or infinity, which JSON cannot say")
    return array


def _flatten(name: str, data: Any) -> tuple[list[Any], list[int]]:
    """Elements in order, and the lengths of the lists level by level."""
    if not isinstance(data, list):
        raise _wrong(name, "data must be a list")
    level, nesting = data, [len(data)]
    while level and type(level[0]) is list:
        if len(nesting) == _MAX_NESTING:
            raise _wrong(name, f"data is nested deeper than {_MAX_NESTING} levels")
        if set(map(type, level)) != {list}:
            raise _wrong(name, "data mixes lists with elements")
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise _wrong(name, "data has rows of different lengths")
        nesting.extend(lengths)
        level = list(chain.from_iterable(level))
    return level, nesting


def _without_ones(shape: Sequence[int]) -> list[int]:
    return [dimension for dimension in shape if dimension != 1]


def _check_types(name: str, datatype: str, elements: list[Any]) -> None:
    allowed: set[type] = {int}
    if datatype in _FLOATS:
        allowed = {int, float}
    elif datatype in ("BOOL", "BYTES"):
        allowed = {bool} if datatype == "BOOL" else {str}
    wrong = set(map(type, elements)) - allowed
    if wrong:
        found = sorted(_WORDS.get(kind, "lists or objects") for kind in wrong)
        wanted = " or ".join(_WORDS[kind] for kind in sorted(allowed, key=lambda kind: kind is float))
        raise _wrong(name, f"{datatype} takes {wanted}, but the data holds {', '.join(found)}")


def _integers(name: str, datatype: str, elements: list[Any]) -> Array:
    """BOOL and whole numbers; numpy itself refuses what is out of range."""
    dtype = dtype_of(datatype)
    assert dtype is not None
    try:
        return np.array(elements, dtype=dtype)
    except OverflowError as error:
        raise _wrong(name, f"a number is out of the range of {datatype}") from error


def _floats(name: str, datatype: str, elements: list[Any]) -> Array:
    wide = np.array(elements, dtype=np.float64)
    with np.errstate(over="ignore", under="ignore"):
        array = wide.astype(dtype_of(datatype))
    if not np.isfinite(array).all():
        raise _wrong(name, f"a number is out of the range of {datatype}")
    return array


def _strings(tensor: Tensor) -> list[str]:
    elements = decode_bytes(tensor.name, tensor.data)
    try:
        return [element.decode() for element in elements]
    except UnicodeDecodeError as error:
        raise _needs_binary(tensor, "holds bytes that are not UTF-8, which JSON cannot say") from error


def _wrong(name: str, what: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, f"tensor '{name}': {what}")


def _needs_binary(tensor: Tensor, why: str) -> TriremeError:
    return TriremeError(
        Code.INVALID_ARGUMENT,
        f"output '{tensor.name}' {why}; ask for it with the parameter binary_data: true",
    )
