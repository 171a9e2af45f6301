"""Tensor data as JSON."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, encode_bytes
from trireme_gateway.v2.json_codec import decode_json, encode_json

_INTEGERS = {f"{sign}INT{bits}": (sign, bits) for sign in ("", "U") for bits in (8, 16, 32, 64)}


def _elements() -> dict[str, st.SearchStrategy[Any]]:
    strategies: dict[str, st.SearchStrategy[Any]] = {
        "BOOL": st.booleans(),
        "BYTES": st.text(),
        "FP16": st.floats(width=16, allow_nan=False, allow_infinity=False),
        "FP32": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "FP64": st.floats(allow_nan=False, allow_infinity=False),
    }
    for name, (sign, bits) in _INTEGERS.items():
        low, high = (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        strategies[name] = st.integers(low, high)
    return strategies


ELEMENTS = _elements()


@pytest.mark.parametrize("datatype", ELEMENTS)
@settings(max_examples=30)
@given(data=st.data())
def test_what_was_decoded_encodes_to_the_same_elements(datatype: str, data: st.DataObject) -> None:
    elements = data.draw(st.lists(ELEMENTS[datatype], max_size=20))
    tensor = decode_json("x", datatype, (len(elements),), elements)
    said = orjson.loads(orjson.dumps(encode_json(tensor), option=orjson.OPT_SERIALIZE_NUMPY))
    assert decode_json("x", datatype, (len(elements),), said) == tensor
    if datatype not in ("FP16", "FP32"):  # their shortest form is not the float64 that was drawn
        assert said == elements


@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=4))
def test_nested_and_flat_data_are_the_same(rows: list[list[int]]) -> None:
    flat = [number for row in rows for number in row]
    shape = (len(rows), 3)
    assert decode_json("x", "INT32", shape, rows) == decode_json("x", "INT32", shape, flat)


@pytest.mark.parametrize("data", [[["a"], ["b"]], [["a", "b"]], [[["a", "b"]]]])
def test_nesting_may_differ_from_the_shape_by_dimensions_of_one(data: Any) -> None:
    assert decode_json("x", "BYTES", (2,), data).data == encode_bytes((b"a", b"b"))


def test_floats_are_printed_as_short_as_their_type_allows() -> None:
    array = encode_json(Tensor.of("x", np.array([0.1, 1e-7], dtype=np.float32)))
    assert orjson.dumps(array, option=orjson.OPT_SERIALIZE_NUMPY) == b"[0.1,1e-7]"


@pytest.mark.parametrize(
    ("datatype", "shape", "data", "said"),
    [
        ("INT8", (1,), [300], "out of the range of INT8"),
        ("UINT16", (1,), [-1], "out of the range of UINT16"),
        ("UINT64", (1,), [-1], "out of the range of UINT64"),
        ("INT64", (1,), [2**63], "out of the range of INT64"),
        ("FP32", (1,), [1e39], "out of the range of FP32"),
        ("FP16", (1,), [70000], "out of the range of FP16"),
        ("FP32", (1,), ["1.0"], "FP32 takes whole numbers or decimals, but the data holds strings"),
        ("FP32", (1,), [None], "holds null"),
        ("FP32", (1,), [{}], "holds lists or objects"),
        ("INT32", (1,), [1.0], "INT32 takes whole numbers, but the data holds decimals"),
        ("INT32", (1,), [True], "holds booleans"),
        ("BOOL", (1,), [1], "BOOL takes booleans"),
        ("BYTES", (1,), [1], "BYTES takes strings"),
        ("BF16", (1,), [1.0], "BF16 has no JSON form"),
        ("FP8", (1,), [1.0], "unknown datatype 'FP8'"),
        ("FP32", (2,), [1.0], "1 elements of data, but shape [2] takes 2"),
        ("FP32", (-1,), [1.0], "negative dimension"),
        ("FP32", (2**62, 2**62), [1.0], "larger than any data"),
        ("FP32", (0, 2**62), [], "larger than any data"),
        ("FP32", (1,) * 65, [1.0], "65 dimensions"),
        ("FP32", (1,), 1.0, "data must be a list"),
        ("FP32", (3,), [[1.0, 2.0], [3.0]], "rows of different lengths"),
        ("FP32", (3,), [[1.0, 2.0], 3.0], "mixes lists with elements"),
        ("FP32", (3,), [1.0, [2.0], 3.0], "holds lists or objects"),
        ("FP32", (3, 2), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "nested as [2, 3], but the shape is [3, 2]"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    datatype: str, shape: tuple[int, ...], data: Any, said: str
) -> None:
    with pytest.raises(TriremeError) as caught:
        decode_json("x", datatype, shape, data)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.detail.startswith("tensor 'x': ")
    assert said in caught.value.detail


def test_deep_nesting_is_refused() -> None:
    data: Any = [1]
    for _ in range(100):
        data = [data]
    with pytest.raises(TriremeError, match="nested deeper"):
        decode_json("x", "INT32", (1,), data)


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor.of("y", np.array([math.nan])),
        Tensor.of("y", np.array([math.inf], dtype=np.float16)),
        Tensor("y", "BF16", (1,), b"\x80\x3f"),
        Tensor("y", "BYTES", (1,), encode_bytes((b"\xff",))),
    ],
)
def test_what_json_cannot_say_asks_for_binary_data(tensor: Tensor) -> None:
    with pytest.raises(TriremeError, match=r"output 'y' .* binary_data: true"):
        encode_json(tensor)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=60)
@given(st.sampled_from([*ELEMENTS, "BF16", "nonsense"]), st.lists(st.integers(-2, 2**63), max_size=4), _JSON)
def test_anything_else_is_an_error_of_ours(datatype: str, shape: list[int], data: Any) -> None:
    with contextlib.suppress(TriremeError):
        decode_json("x", datatype, shape, data)
