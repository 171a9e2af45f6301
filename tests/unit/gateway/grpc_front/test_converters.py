"""Messages of the protocol as requests: typed and raw contents."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, encode_bytes
from trireme_gateway.grpc_front.converters import fill_response, to_request
from trireme_gateway.v2.requests import InferResponse
from trireme_protos.inference import grpc_service_pb2 as pb

_FLOATS = {"FP32": st.floats(width=32), "FP64": st.floats()}
_FIELDS: dict[str, tuple[str, Any, st.SearchStrategy[Any]]] = {
    "BOOL": ("bool_contents", np.bool_, st.booleans()),
    "INT8": ("int_contents", np.int8, st.integers(-(2**7), 2**7 - 1)),
    "INT16": ("int_contents", np.int16, st.integers(-(2**15), 2**15 - 1)),
    "INT32": ("int_contents", np.int32, st.integers(-(2**31), 2**31 - 1)),
    "INT64": ("int64_contents", np.int64, st.integers(-(2**63), 2**63 - 1)),
    "UINT8": ("uint_contents", np.uint8, st.integers(0, 2**8 - 1)),
    "UINT16": ("uint_contents", np.uint16, st.integers(0, 2**16 - 1)),
    "UINT32": ("uint_contents", np.uint32, st.integers(0, 2**32 - 1)),
    "UINT64": ("uint64_contents", np.uint64, st.integers(0, 2**64 - 1)),
    "FP32": ("fp32_contents", np.float32, _FLOATS["FP32"]),
    "FP64": ("fp64_contents", np.float64, _FLOATS["FP64"]),
}


def message(
    datatype: str, shape: list[int], contents: dict[str, Any] | None = None, *raw: bytes
) -> pb.ModelInferRequest:
    entry = pb.ModelInferRequest.InferInputTensor(name="x", datatype=datatype, shape=shape)
    if contents is not None:
        entry.contents.CopyFrom(pb.InferTensorContents(**contents))
    return pb.ModelInferRequest(model_name="m", inputs=[entry], raw_input_contents=raw)


@pytest.mark.parametrize("datatype", _FIELDS)
@settings(max_examples=25)
@given(data=st.data())
def test_typed_and_raw_contents_are_the_same(datatype: str, data: st.DataObject) -> None:
    field, dtype, elements = _FIELDS[datatype]
    values = data.draw(st.lists(elements, max_size=10))
    expected = Tensor("x", datatype, (len(values),), np.array(values, dtype=dtype).tobytes())
    (typed,) = to_request(message(datatype, [len(values)], {field: values})).inputs
    (raw,) = to_request(message(datatype, [len(values)], None, expected.data)).inputs
    assert raw == expected
    np.testing.assert_array_equal(typed.array(), expected.array())


def test_bytes_contents_and_half_floats() -> None:
    (typed,) = to_request(message("BYTES", [2], {"bytes_contents": [b"\xff", b""]})).inputs
    assert typed.data == encode_bytes((b"\xff", b""))
    for datatype in ("FP16", "BF16"):
        (raw,) = to_request(message(datatype, [1], None, b"\x80\x3f")).inputs
        assert raw == Tensor("x", datatype, (1,), b"\x80\x3f")


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (message("INT8", [1], {"int_contents": [300]}), "out of the range of INT8"),
        (message("UINT16", [1], {"uint_contents": [70000]}), "out of the range of UINT16"),
        (message("FP16", [1], {"fp32_contents": [1.0]}), "FP16 has no typed contents"),
        (message("FP32", [1], {"fp64_contents": [1.0]}), "belongs in fp32_contents, not in fp64_contents"),
        (message("FP32", [2], {"fp32_contents": [1.0]}), "1 elements of data, but shape [2] takes 2"),
        (message("FP32", [2]), "0 elements of data, but shape [2] takes 2"),
        (message("FP32", [-1], {"fp32_contents": [1.0]}), "negative dimension"),
        (message("FP32", [2**62, 2**62], None, b""), "larger than any data"),
        (message("FP8", [1], None, b"1"), "unknown datatype 'FP8'"),
        (message("FP32", [1], None, b"1"), "1 bytes of data, but shape [1] of FP32 takes 4"),
        (message("FP32", [1], None, b"1234", b"1234"), "2 raw_input_contents for 1 inputs"),
        (
            message("FP32", [1], {"fp32_contents": [1.0]}, b"1234"),
            "contents field must not be specified when using raw_input_contents for 'x' for model 'm'",
        ),
        (pb.ModelInferRequest(inputs=[pb.ModelInferRequest.InferInputTensor()]), "every input needs a name"),
        (pb.ModelInferRequest(parameters={"a": pb.InferParameter()}), "parameter 'a' has no value"),
    ],
)
def test_what_does_not_fit_is_refused(request_: pb.ModelInferRequest, said: str) -> None:
    with pytest.raises(TriremeError) as caught:
        to_request(request_)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert said in caught.value.detail


def test_parameters_of_every_kind_are_read() -> None:
    given_ = {
        "flag": pb.InferParameter(bool_param=True),
        "count": pb.InferParameter(int64_param=-3),
        "size": pb.InferParameter(uint64_param=2**64 - 1),
        "text": pb.InferParameter(string_param="a"),
        "ratio": pb.InferParameter(double_param=0.5),
    }
    request = to_request(pb.ModelInferRequest(parameters=given_, id="7"))
    assert request.id == "7"
    assert request.parameters == {"flag": True, "count": -3, "size": 2**64 - 1, "text": "a", "ratio": 0.5}


def test_outputs_travel_raw() -> None:
    tensor = Tensor.of("y", np.array([[1, 2]], dtype=np.int16))
    said = pb.ModelInferResponse()
    fill_response(said, InferResponse("m", "2", (tensor,), "7"))
    assert (said.model_name, said.model_version, said.id) == ("m", "2", "7")
    assert (said.outputs[0].name, said.outputs[0].datatype, list(said.outputs[0].shape)) == (
        "y",
        "INT16",
        [1, 2],
    )
    assert list(said.raw_output_contents) == [tensor.data]


@given(st.binary(max_size=200))
@settings(max_examples=100)
def test_no_message_raises_anything_but_our_error(data: bytes) -> None:
    entry = pb.ModelInferRequest.InferInputTensor(name="x", datatype="BYTES", shape=[len(data) % 5])
    with contextlib.suppress(TriremeError):
        to_request(pb.ModelInferRequest(inputs=[entry], raw_input_contents=[data]))
