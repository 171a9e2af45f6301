from __future__ import annotations

import numpy as np
import pytest

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, encode_bytes
from trireme_gateway.hop.oip.messages import decode_response, encode_request
from trireme_protos.inference import grpc_service_pb2 as pb

X = Tensor.of("x", np.arange(8, dtype=np.float32).reshape(2, 4))


def test_a_request_carries_raw_contents() -> None:
    words = Tensor("words", "BYTES", (2,), encode_bytes([b"a", b"bc"]))
    found = pb.ModelInferRequest.FromString(encode_request("m", "2", [X, words], "r1"))
    assert (found.model_name, found.model_version, found.id) == ("m", "2", "r1")
    assert [(entry.name, entry.datatype, list(entry.shape)) for entry in found.inputs] == [
        ("x", "FP32", [2, 4]),
        ("words", "BYTES", [2]),
    ]
    assert list(found.raw_input_contents) == [X.data, words.data]
    assert not found.parameters


def test_a_priority_is_a_parameter() -> None:
    found = pb.ModelInferRequest.FromString(encode_request("m", "", [X], "r", priority=2))
    assert found.parameters["priority"].uint64_param == 2


def test_raw_contents_come_back_as_they_are() -> None:
    answer = pb.ModelInferResponse(raw_output_contents=[X.data])
    answer.outputs.add(name="x", datatype="FP32", shape=[2, 4])
    assert decode_response(answer.SerializeToString()) == (X,)


@pytest.mark.parametrize(
    ("tensor", "field", "values"),
    [
        (X, "fp32_contents", list(range(8))),
        (Tensor.of("x", np.array([True, False])), "bool_contents", [True, False]),
        (Tensor.of("x", np.array([-3, 4], np.int8)), "int_contents", [-3, 4]),
        (Tensor("x", "BYTES", (2,), encode_bytes([b"a", b""])), "bytes_contents", [b"a", b""]),
    ],
)
def test_typed_contents_become_raw_ones(tensor: Tensor, field: str, values: list[object]) -> None:
    answer = pb.ModelInferResponse()
    output = answer.outputs.add(name="x", datatype=tensor.datatype, shape=tensor.shape)
    getattr(output.contents, field).extend(values)
    assert decode_response(answer.SerializeToString()) == (tensor,)


def _two_outputs_one_content() -> bytes:
    answer = pb.ModelInferResponse(raw_output_contents=[b""])
    answer.outputs.add(name="x", datatype="FP32", shape=[0])
    answer.outputs.add(name="y", datatype="FP32", shape=[0])
    return answer.SerializeToString()


def _typed(datatype: str, **contents: list[int]) -> bytes:
    answer = pb.ModelInferResponse()
    output = answer.outputs.add(name="x", datatype=datatype, shape=[1])
    for name, values in contents.items():
        getattr(output.contents, name).extend(values)
    return answer.SerializeToString()


@pytest.mark.parametrize(
    "data",
    [b"\xff\xff", _two_outputs_one_content(), _typed("FP16"), _typed("INT8", int_contents=[1000])],
)
def test_what_is_no_answer_is_not_the_callers_fault(data: bytes) -> None:
    with pytest.raises(TriremeError) as refused:
        decode_response(data)
    assert refused.value.code is Code.INTERNAL
