"""Checks of a request's tensors and the payload's codec."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.inference_fakes import FakeCaller, Inbox
from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_inference.converters import PayloadCodec
from trireme_inference.requests import Request
from trireme_inference.signature import Signature
from trireme_protos.trireme.v1 import envelope_pb2

SIGNATURE = Signature(
    (TensorInfo("a", "FP32", (-1, 2)), TensorInfo("b", "INT64", (-1, -1))), (TensorInfo("y", "FP32", (-1,)),)
)
FLAGS = Signature((TensorInfo("f", "BOOL", (-1,)), TensorInfo("t", "BYTES", (-1, 1))), ())


def pair(rows: int = 2, columns: int = 3) -> list[Tensor]:
    return [
        Tensor.of("a", np.arange(rows * 2, dtype=np.float32).reshape(rows, 2)),
        Tensor.of("b", np.arange(rows * columns).reshape(rows, columns)),
    ]


def test_a_good_request() -> None:
    tensors = pair()
    parts, shapes, rows = SIGNATURE.check(tensors[::-1])
    assert parts == (tensors[0].data, tensors[1].data)
    assert (shapes, rows) == (((2,), (3,)), 2)


@pytest.mark.parametrize(
    ("tensors", "code", "detail"),
    [
        (pair()[:1], Code.INVALID_ARGUMENT, "input 'b' is missing; the model takes a, b"),
        ([*pair(), Tensor("c", "FP32", (1,), bytes(4))], Code.INVALID_ARGUMENT, "unknown input 'c'"),
        ([*pair(), pair()[0]], Code.INVALID_ARGUMENT, "input 'a' is given twice"),
        (
            [Tensor("a", "FP64", (1, 2), bytes(16)), pair()[1]],
            Code.INVALID_ARGUMENT,
            "FP64, but the model takes FP32",
        ),
        (
            [Tensor("a", "FP32", (1, 3), bytes(12)), pair()[1]],
            Code.WRONG_SHAPE,
            "[1, 3], but the model takes [-1, 2]",
        ),
        ([Tensor("a", "FP32", (2,), bytes(8)), pair()[1]], Code.WRONG_SHAPE, "shape [2]"),
        ([Tensor("a", "FP32", (-1, 2), b""), pair()[1]], Code.WRONG_SHAPE, "shape [-1, 2]"),
        ([Tensor("a", "FP32", (0, 2), b""), Tensor("b", "INT64", (0, 1), b"")], Code.WRONG_SHAPE, "no rows"),
        ([pair(2)[0], pair(3)[1]], Code.WRONG_SHAPE, "'b' has 3 rows, but 'a' has 2"),
        ([Tensor("a", "FP32", (2, 2), bytes(15)), pair()[1]], Code.INVALID_ARGUMENT, "15 bytes of data"),
        ([Tensor("a", "FP32", (1 << 62, 2), b""), pair()[1]], Code.INVALID_ARGUMENT, "0 bytes of data"),
    ],
)
def test_what_does_not_fit_is_named(tensors: list[Tensor], code: Code, detail: str) -> None:
    with pytest.raises(TriremeError) as caught:
        SIGNATURE.check(tensors)
    assert caught.value.code is code
    assert detail in caught.value.detail


@pytest.mark.parametrize(
    ("flags", "text", "detail"),
    [
        (b"\x00\x02", b"\1\0\0\0a\1\0\0\0b", "byte 0 or 1"),
        (b"\x00\x01", b"\1\0\0\0a", "1 BYTES elements"),
        (b"\x00\x01", b"\1\0\0\0a\x09\0\0\0b", "overruns"),
        (b"\x00\x01", b"\1\0\0\0a\1\0\0\0\xe5", "UTF-8 text"),
        (b"\x00\x01", b"\1\0\0\0\xc3\1\0\0\0\xa9", "UTF-8 text"),
    ],
)
def test_bytes_whose_value_is_wrong(flags: bytes, text: bytes, detail: str) -> None:
    codec = PayloadCodec(FLAGS)
    good = encode_tensors(
        [Tensor("f", "BOOL", (2,), b"\0\1"), Tensor("t", "BYTES", (2, 1), b"\1\0\0\0a\1\0\0\0b")]
    )
    codec.decode(good)
    payload = encode_tensors([Tensor("f", "BOOL", (2,), flags), Tensor("t", "BYTES", (2, 1), text)])
    with pytest.raises(TriremeError, match=detail):
        codec.decode(payload)


shapes = st.tuples(st.integers(1, 3), st.integers(1, 4))


@settings(deadline=None)
@given(st.lists(st.tuples(shapes, st.booleans()), max_size=12), st.randoms())
def test_a_payload_that_was_seen_before_decodes_as_one_that_was_not(stream: list, random) -> None:  # type: ignore[no-untyped-def,type-arg]
    codec = PayloadCodec(SIGNATURE)
    for (rows, columns), swapped in stream:
        tensors = pair(rows, columns)
        tensors[0] = Tensor("a", "FP32", (rows, 2), random.randbytes(rows * 8))
        payload = encode_tensors(tensors[::-1] if swapped else tensors)
        assert codec.decode(payload) == SIGNATURE.check(tensors)


def test_parts_of_a_large_payload_are_views_that_run_wherever_they_begin() -> None:
    codec = PayloadCodec(SIGNATURE)
    for rows in (1000, 1000, 1001, 1001):  # the second of a length is not parsed any more
        tensors = pair(rows)
        parts, shapes, count = codec.decode(encode_tensors(tensors))
        assert parts == (tensors[0].data, tensors[1].data)
        request = Request(parts, shapes, count, 1e9, 0.0, SIGNATURE, FakeCaller(), Inbox())
        for feed in (SIGNATURE.feed([request]), SIGNATURE.feed([request, request])):
            for tensor in tensors:
                assert feed[tensor.name].flags.aligned
                assert np.array_equal(feed[tensor.name][:rows], tensor.array())
    assert all(isinstance(part, memoryview) for part in parts)


def test_inputs_in_another_order_are_not_mistaken_where_their_bytes_were_equal_once() -> None:
    zeros = [Tensor("a", "FP32", (1, 2), bytes(8)), Tensor("b", "INT64", (1, 1), bytes(8))]
    codec = PayloadCodec(SIGNATURE)
    codec.decode(encode_tensors(zeros[::-1]))
    tensors = [Tensor("a", "FP32", (1, 2), b"\1" * 8), zeros[1]]
    assert codec.decode(encode_tensors(tensors[::-1]))[0] == (b"\1" * 8, bytes(8))


def test_a_payload_of_the_same_length_with_other_heads_is_checked() -> None:
    codec = PayloadCodec(SIGNATURE)
    good = encode_tensors(pair())
    codec.decode(good)
    with pytest.raises(TriremeError, match="'b' is missing"):
        codec.decode(good.replace(b"\x01b", b"\x01z"))
    with pytest.raises(TriremeError):
        codec.decode(b"\xff" * len(good))


def test_fields_in_another_order_are_understood() -> None:
    tensor = envelope_pb2.Tensor(name="y", datatype="FP32", shape=[1]).SerializeToString()
    data = b"\x22\x04" + bytes(4)
    codec = PayloadCodec(Signature((TensorInfo("y", "FP32", (-1,)),), ()))
    for _ in range(2):
        payload = b"\x0a" + bytes([len(tensor) + len(data)]) + data + tensor
        assert codec.decode(payload) == ((bytes(4),), ((),), 1)


def test_outputs_are_encoded_as_protobuf_would() -> None:
    infos = (TensorInfo("y", "FP32", (-1, 200)), TensorInfo("t", "BYTES", (-1,)))
    codec = PayloadCodec(Signature((), infos))
    for text in (b"\1\0\0\0a", b"\2\0\0\0ab"):
        payload = codec.encode(((1, 200), (1,)), (memoryview(bytes(800)), text))
        assert decode_tensors(payload) == (
            Tensor("y", "FP32", (1, 200), bytes(800)),
            Tensor("t", "BYTES", (1,), text),
        )
