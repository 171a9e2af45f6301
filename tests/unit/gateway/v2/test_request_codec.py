"""REST bodies, JSON and binary data mixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import DATATYPES, Tensor, dtype_of, encode_bytes
from trireme_gateway.v2.request_codec import decode_request
from trireme_gateway.v2.requests import InferRequest, InferResponse, RequestedOutput
from trireme_gateway.v2.response_codec import encode_response

X = {"name": "x", "datatype": "INT32", "shape": [2], "data": [1, 2]}
IN_MEMORY = {"shared_memory_region": "r", "shared_memory_byte_size": 8}


def binary_body(content: Any, *blobs: bytes) -> tuple[bytes, str]:
    head = orjson.dumps(content)
    return b"".join((head, *blobs)), str(len(head))


def _raw(datatype: str) -> st.SearchStrategy[bytes]:
    dtype = dtype_of(datatype)
    if dtype is None:
        return st.lists(st.binary(max_size=20), max_size=8).map(encode_bytes)
    if datatype == "BOOL":
        return st.lists(st.sampled_from((0, 1)), max_size=8).map(bytes)
    return st.binary(max_size=64).map(lambda data: data[: len(data) - len(data) % dtype.itemsize])


def _tensor(name: str, datatype: str, data: bytes) -> Tensor:
    dtype = dtype_of(datatype)
    if dtype is not None:
        return Tensor(name, datatype, (len(data) // dtype.itemsize,), data)
    count = position = 0
    while position < len(data):
        position += 4 + int.from_bytes(data[position : position + 4], "little")
        count += 1
    return Tensor(name, datatype, (count,), data)


@pytest.mark.parametrize("datatype", DATATYPES)
@settings(max_examples=25)
@given(data=st.data())
def test_binary_data_passes_unchanged(datatype: str, data: st.DataObject) -> None:
    tensors = [_tensor(name, datatype, data.draw(_raw(datatype))) for name in ("x", "y")]
    entries = [
        {
            "name": tensor.name,
            "datatype": datatype,
            "shape": tensor.shape,
            "parameters": {"binary_data_size": len(tensor.data)},
        }
        for tensor in tensors
    ]
    request = decode_request(*binary_body({"inputs": entries}, *(tensor.data for tensor in tensors)))
    assert list(request.inputs) == tensors


def test_requests_with_the_same_head_have_their_own_data() -> None:
    entry = {"name": "x", "datatype": "INT32", "shape": [2], "parameters": {"binary_data_size": 8}}
    content = {"inputs": [entry], "outputs": [{"name": "y"}], "parameters": {"priority": 2}}
    requests = [decode_request(*binary_body(content, bytes([at]) * 8)) for at in range(3)]
    for at, request in enumerate(requests):
        assert request.inputs == (Tensor("x", "INT32", (2,), bytes([at]) * 8),)
        assert (request.outputs, request.priority) == ((RequestedOutput("y"),), 2)
    with pytest.raises(TriremeError, match="4 bytes are left"):
        decode_request(*binary_body(content, bytes(4)))


def test_large_binary_data_is_not_copied() -> None:
    body, length = binary_body({"inputs": [_entry(80_000, shape=[20_000])]}, bytes(80_000))
    (tensor,) = decode_request(body, length).inputs
    assert isinstance(tensor.data, memoryview)
    assert tensor.data.obj is body


def test_json_and_binary_inputs_mix_in_one_request() -> None:
    y = {"name": "y", "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": 6}}
    z = {"name": "z", "datatype": "FP32", "shape": [], "parameters": {"binary_data_size": 4}}
    request = decode_request(*binary_body({"inputs": [y, X, z]}, encode_bytes((b"\xff\0",)), b"\0\0\xc0\x7f"))
    assert [tensor.name for tensor in request.inputs] == ["y", "x", "z"]
    assert request.inputs[0].array().tolist() == [[b"\xff\0"]]
    assert request.inputs[1].array().tolist() == [1, 2]
    assert np.isnan(request.inputs[2].array())


def test_ids_outputs_and_parameters_are_read_and_unknown_keys_ignored() -> None:
    body = orjson.dumps(
        {
            "id": "seven",
            "inputs": [X],
            "outputs": [
                {"name": "y", "parameters": {"classification": 3}},
                {"name": "z", "parameters": None},
            ],
            "parameters": {"timeout": 5, "priority": 1, "mine": "x"},
            "unknown": [],
        }
    )
    request = decode_request(body)
    assert request.id == "seven"
    assert [output.classification for output in request.outputs] == [3, 0]
    assert request.timeout_microseconds == 5
    assert request.priority == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "must be a JSON object"),
        ({}, "'inputs' must be a list of objects"),
        ({"inputs": [1]}, "'inputs' must be a list of objects"),
        ({"inputs": [X], "outputs": {}}, "'outputs' must be a list of objects"),
        ({"inputs": [X, X]}, "input 'x' is given twice"),
        ({"inputs": [X], "outputs": [{"name": "y"}, {"name": "y"}]}, "output 'y' is given twice"),
        ({"inputs": [X], "outputs": [{}]}, "every output needs a 'name'"),
        ({"inputs": [X], "id": 3}, "'id' must be a string"),
        ({"inputs": [{**X, "name": ""}]}, "every input needs a 'name'"),
        ({"inputs": [{**X, "datatype": 1}]}, "'datatype' must be a string"),
        ({"inputs": [{**X, "shape": [2.0]}]}, "'shape' must be a list of whole numbers"),
        ({"inputs": [{**X, "shape": [True]}]}, "'shape' must be a list of whole numbers"),
        ({"inputs": [{"name": "x", "datatype": "INT32", "shape": [2]}]}, "neither 'data' nor"),
        ({"inputs": [{**X, "parameters": []}]}, "'parameters' must be an object"),
        ({"inputs": [{**X, "parameters": {"a": []}}]}, "must be a string, a number or a boolean"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": 8}}]}, "has both"),
        ({"inputs": [{**X, "parameters": {"shared_memory_region": "r"}}]}, "needs 'shared_memory_byte_size'"),
        ({"inputs": [{**X, "parameters": {"shared_memory_byte_size": 8}}]}, "need 'shared_memory_region'"),
        ({"inputs": [{**X, "parameters": IN_MEMORY}]}, "Input must set only one of the following fields"),
    ],
)
def test_malformed_requests_say_what_is_wrong(content: Any, said: str) -> None:
    with pytest.raises(TriremeError) as caught:
        decode_request(orjson.dumps(content))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert said in caught.value.detail


def _entry(size: Any, datatype: str = "INT32", shape: Any = (2,)) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


@pytest.mark.parametrize(
    ("entry", "data", "said"),
    [
        (_entry(8), b"1234", "binary_data_size is 8, but 4 bytes are left"),
        (_entry(4), b"1234", "4 bytes of data, but shape [2] of INT32 takes 8"),
        (_entry(8), b"123456789", "1 bytes behind the JSON belong to no input"),
        (_entry(-1), b"", "must be a whole number"),
        (_entry(True), b"1", "must be a whole number"),
        (_entry(10**18), b"1", "bytes are left"),
        (_entry(4, shape=[2**40, 2**40]), b"1234", "larger than any data"),
        (_entry(2, "BOOL"), b"\0\2", "an element of BOOL is the byte 0 or 1"),
        (_entry(4, "BYTES", [1]), b"\xff\xff\xff\xff", "a BYTES element overruns its data"),
        (_entry(2, "BYTES", [1]), b"\0\0", "a BYTES element overruns its data"),
        (_entry(6, "BYTES", [1]), b"\0\0\0\0\0\0", "a BYTES element overruns its data"),
        (_entry(8, "BYTES", [1]), b"\0\0\0\0\0\0\0\0", "2 BYTES elements, but shape [1] of BYTES takes 1"),
    ],
)
def test_binary_data_that_does_not_fit_is_refused(entry: Any, data: bytes, said: str) -> None:
    with pytest.raises(TriremeError) as caught:
        decode_request(*binary_body({"inputs": [entry]}, data))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert said in caught.value.detail


@pytest.mark.parametrize("length", ["", "-1", "0", "1e3", "²", "9" * 5000, "1000"])
def test_a_header_length_that_cannot_be_is_refused(length: str) -> None:
    with pytest.raises(TriremeError, match="Inference-Header-Content-Length"):
        decode_request(b'{"inputs": []}', length)


@given(st.binary(max_size=200), st.none() | st.text(max_size=5) | st.integers(0, 200).map(str))
def test_no_bytes_raise_anything_but_our_error(body: bytes, length: str | None) -> None:
    with pytest.raises(TriremeError):
        decode_request(body, length)


@pytest.mark.parametrize("per_output", [None, True, False])
@pytest.mark.parametrize("whole", [None, True, False])
def test_an_output_is_binary_by_its_own_parameter_else_by_the_requests(
    per_output: bool | None, whole: bool | None
) -> None:
    output = RequestedOutput("y", {} if per_output is None else {"binary_data": per_output})
    request = InferRequest((), (output,), {} if whole is None else {"binary_data_output": whole})
    tensor = Tensor.of("y", np.array([1, 2], dtype=np.int16))
    encoded = encode_response(request, InferResponse("m", "1", (tensor,)))
    binary = bool(whole) if per_output is None else per_output
    assert (encoded.json_length is not None) is binary
    head = orjson.loads(encoded.body[: encoded.json_length])
    said = head["outputs"][0]
    assert said["shape"] == [2]
    if binary:
        assert said["parameters"] == {"binary_data_size": 4}
        assert encoded.body[encoded.json_length :] == tensor.data
    else:
        assert said["data"] == [1, 2]


@pytest.mark.parametrize("value", [1, "true"])
def test_flags_must_be_booleans(value: Any) -> None:
    with pytest.raises(TriremeError, match="must be true or false"):
        InferRequest((), (), {"binary_data_output": value}).wants_binary("y")
