"""Parameters of Open Inference Protocol requests; payloads and tensors stand in the servicers' tests."""

import math

import pytest

from trireme_common.errors import Code, TriremeError
from trireme_inference.converters import priority, timeout_seconds
from trireme_protos.inference import grpc_service_pb2 as oip


def request(name: str = "priority", /, **parameter: int | str) -> oip.ModelInferRequest:
    made = oip.ModelInferRequest()
    for kind, value in parameter.items():
        setattr(made.parameters[name], kind, value)
    return made


def test_the_priority_is_a_parameter_of_either_kind_of_number_and_0_where_absent() -> None:
    assert priority(request()) == 0
    assert priority(request(int64_param=3)) == priority(request(uint64_param=3)) == 3


def test_the_time_out_is_in_microseconds_and_none_where_it_is_absent_or_0() -> None:
    assert timeout_seconds(request()) == timeout_seconds(request("timeout", int64_param=0)) == math.inf
    assert timeout_seconds(request("timeout", uint64_param=2500)) == 0.0025


@pytest.mark.parametrize("parameter", [{"int64_param": -1}, {"string_param": "high"}, {"bool_param": True}])
def test_anything_else_is_the_callers_mistake(parameter: dict[str, int | str]) -> None:
    with pytest.raises(TriremeError) as caught:
        priority(request(**parameter))
    assert caught.value.code is Code.INVALID_ARGUMENT
    with pytest.raises(TriremeError, match="parameter 'timeout'"):
        timeout_seconds(request("timeout", **parameter))
