"""Raw binary requests: the body is the data of the one input."""

from __future__ import annotations

import numpy as np
import pytest

from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Tensor, encode_bytes
from trireme_gateway.v2.raw_request import decode_raw, is_raw
from trireme_gateway.v2.signature import Signature


def signature(*inputs: TensorInfo, batched: bool = True) -> Signature:
    return Signature("m", "onnxruntime_onnx", inputs, (TensorInfo("y", "FP32", (-1,)),), batched)


def x(datatype: str, *shape: int) -> TensorInfo:
    return TensorInfo("x", datatype, shape)


@pytest.mark.parametrize(("value", "raw"), [("0", True), (None, False), ("1", False), ("", False)])
def test_a_header_length_of_0_says_so(value: str | None, raw: bool) -> None:
    assert is_raw(value) is raw


@pytest.mark.parametrize(
    ("info", "batched", "shape"),
    [
        (x("FP32", -1, 4), True, (1, 4)),
        (x("FP32", -1, -1), True, (1, 4)),
        (x("FP32", -1, -1, 2), True, (1, 2, 2)),
        (x("FP32", 4), False, (4,)),
        (x("FP32", -1), False, (4,)),
        (x("FP32", 2, -1), False, (2, 2)),
    ],
)
def test_the_shape_is_the_models_with_the_free_dimension_told_by_the_size(
    info: TensorInfo, batched: bool, shape: tuple[int, ...]
) -> None:
    data = np.arange(4, dtype=np.float32).tobytes()
    request = decode_raw(data, signature(info, batched=batched))
    assert request.inputs == (Tensor("x", "FP32", shape, data),)
    assert request.wants_binary("y")


@pytest.mark.parametrize(
    ("info", "batched", "shape"),
    [(x("BYTES", -1), True, (1,)), (x("BYTES", -1, 1), True, (1, 1)), (x("BYTES", 1), False, (1,))],
)
def test_bytes_are_one_element(info: TensorInfo, batched: bool, shape: tuple[int, ...]) -> None:
    (tensor,) = decode_raw(b"\xffpicture", signature(info, batched=batched)).inputs
    assert tensor == Tensor("x", "BYTES", shape, encode_bytes((b"\xffpicture",)))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (signature(x("FP32", -1), x("FP32", -1)), "of one input, but model 'm' has 2"),
        (signature(x("FP32", -1, -1, -1)), "several of its dimensions are free"),
        (signature(x("BYTES", -1, 2)), "BYTES that are not one element"),
        (signature(x("BYTES", -1), batched=False), "BYTES that are not one element"),
        (signature(x("FP32", -1, 3)), "16 bytes of data, but shape [1, 3] of FP32 takes 12"),
        (signature(x("FP64", -1, -1, 3)), "16 bytes of data, but shape [1, 0, 3] of FP64 takes 0"),
        (signature(x("FP32", -1, -1, 0)), "16 bytes of data, but shape [1, 0, 0] of FP32 takes 0"),
    ],
)
def test_what_the_bytes_do_not_tell_is_refused(found: Signature, said: str) -> None:
    with pytest.raises(TriremeError) as caught:
        decode_raw(bytes(16), found)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert said in caught.value.detail
