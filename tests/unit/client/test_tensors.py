from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from trireme_client import Tensor
from trireme_client.tensors import decode_response, encode_request


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, -2], [3, 4]], dtype=np.float32),
        np.array([1, 2, 3], dtype=">i8"),
        np.array([True, False]),
        np.arange(6, dtype=np.uint8).reshape(2, 3).T,
        np.array(1.5),
        np.zeros((0, 4), dtype=np.float64),
        np.array([1, 2], dtype=np.float16),
    ],
)
def test_arrays_survive_the_way_there_and_back(array: Any) -> None:
    found = Tensor.of(array).array()
    np.testing.assert_array_equal(found, array)
    assert found.shape == array.shape


def test_texts_are_bytes_of_utf8() -> None:
    for array in (np.array([["好", "a"]]), np.array([["好", "a"]], dtype=object)):
        tensor = Tensor.of(array)
        assert (tensor.datatype, tensor.shape) == ("BYTES", (1, 2))
        assert tensor.elements() == ["好".encode(), b"a"]
        assert tensor.array().tolist() == [["好".encode(), b"a"]]
    assert Tensor.of_elements([b"", "x"]).shape == (2,)
    assert Tensor.of_elements([b"", "x"]).elements() == [b"", b"x"]


def test_what_has_no_datatype_is_refused() -> None:
    with pytest.raises(TypeError, match="complex128"):
        Tensor.of(np.array([1j]))
    with pytest.raises(ValueError, match="array"):
        Tensor("FP32", (1,), b"1234").elements()


@pytest.mark.parametrize("data", [b"\x01", b"\x01\x00\x00\x00", b"\xff\xff\xff\xff1"])
def test_elements_that_overrun_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="overruns"):
        Tensor("BYTES", (1,), data).elements()


def test_a_request_is_a_header_and_the_bytes_behind_it() -> None:
    tensor = Tensor.of(np.array([[1.5]], dtype=np.float32))
    content, length = encode_request({"x": tensor, "t": Tensor.of_elements(["ab"])}, ["y"])
    header = json.loads(content[:length])
    assert [part["parameters"]["binary_data_size"] for part in header["inputs"]] == [4, 6]
    assert content[length:] == tensor.data + b"\x02\x00\x00\x00ab"
    assert header["outputs"] == [{"name": "y", "parameters": {"binary_data": True}}]
    assert header["parameters"] == {"binary_data_output": True}
    assert "outputs" not in json.loads(encode_request({}, ())[0])


def test_an_answer_is_cut_by_the_sizes_in_its_header() -> None:
    outputs = [
        {"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
        {"name": "z", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}},
    ]
    head = json.dumps({"model_name": "m", "outputs": outputs}).encode()
    data = np.array([2.5], dtype=np.float32).tobytes() + b"\x01\x00\x00\x00q"
    header, found = decode_response(head + data, len(head))
    assert header["model_name"] == "m"
    assert found["y"].array().tolist() == [2.5]
    assert found["z"].elements() == [b"q"]
    with pytest.raises(ValueError, match="shorter"):
        decode_response(head + data[:-1], len(head))
