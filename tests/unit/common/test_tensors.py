from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.support.outcomes import result_or_refusal
from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import (
    DATATYPES,
    Tensor,
    datatype_of,
    decode_bytes,
    decode_tensors,
    dtype_of,
    encode_bytes,
    encode_tensors,
)
from trireme_protos.trireme.v1 import envelope_pb2

NUMERIC = [name for name in DATATYPES if name not in ("BYTES", "BF16")]


def refusal(tensor: Tensor) -> TriremeError:
    with pytest.raises(TriremeError) as refused:
        tensor.array()
    assert refused.value.code is Code.INVALID_ARGUMENT
    return refused.value


@given(st.data(), st.sampled_from(NUMERIC))
def test_arrays_survive_the_way_there_and_back(data: st.DataObject, datatype: str) -> None:
    dtype = dtype_of(datatype)
    assert dtype is not None
    array = data.draw(arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0, max_side=4)))
    tensor = Tensor.of("x", array)
    assert tensor.datatype == datatype
    (again,) = decode_tensors(encode_tensors([tensor]))
    assert again == tensor
    found = again.array()
    assert found.shape == array.shape
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()
    assert not found.flags.writeable


TENSORS = st.builds(
    Tensor,
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(DATATYPES),
    st.lists(st.integers(-1, 2**63 - 1), max_size=4).map(tuple),
    st.binary(max_size=300),
)


@given(st.lists(TENSORS, max_size=4))
def test_tensors_are_written_as_protobuf_writes_them(tensors: list[Tensor]) -> None:
    message = envelope_pb2.Tensors()
    for name, datatype, shape, data in tensors:
        message.tensors.add(name=name, datatype=datatype, shape=shape, data=bytes(data))
    assert encode_tensors(tensors) == message.SerializeToString()
    views = [tensor._replace(data=memoryview(tensor.data)) for tensor in tensors]
    assert encode_tensors(views) == message.SerializeToString()


@given(st.lists(st.binary(max_size=20), max_size=8))
def test_bytes_elements_survive_the_way_there_and_back(elements: list[bytes]) -> None:
    assert decode_bytes("x", encode_bytes(elements)) == elements
    assert decode_bytes("x", memoryview(encode_bytes(elements))) == elements
    tensor = Tensor("x", "BYTES", (len(elements),), encode_bytes(elements))
    assert tensor.array().tolist() == elements
    assert Tensor.of("x", tensor.array()) == tensor


@given(
    st.binary(max_size=60), st.lists(st.integers(-2, 5), max_size=3), st.sampled_from([*DATATYPES, "FP128"])
)
def test_any_bytes_give_an_array_or_a_refusal(data: bytes, shape: list[int], datatype: str) -> None:
    tensor = Tensor("x", datatype, tuple(shape), data)
    found = result_or_refusal(tensor.array)
    if isinstance(found, TriremeError):
        assert found.code is Code.INVALID_ARGUMENT
    else:
        assert found.shape == tuple(shape)


@given(st.binary(max_size=60))
def test_any_payload_is_decoded_or_refused(payload: bytes) -> None:
    found = result_or_refusal(lambda: decode_tensors(payload))
    assert not isinstance(found, TriremeError) or found.code is Code.INVALID_ARGUMENT


def test_what_does_not_agree_is_refused_with_the_tensors_name() -> None:
    assert "'x'" in refusal(Tensor("x", "FP32", (2,), b"1234")).detail
    assert "takes 8" in refusal(Tensor("x", "FP32", (2,), b"1234")).detail
    assert "negative" in refusal(Tensor("x", "FP32", (-1,), b"")).detail
    assert "unknown datatype" in refusal(Tensor("x", "FP31", (1,), b"1234")).detail
    assert "overruns" in refusal(Tensor("x", "BYTES", (1,), b"\xff\xff\xff\xffa")).detail
    assert "overruns" in refusal(Tensor("x", "BYTES", (1,), b"\x01\x00")).detail
    assert "2 BYTES elements" in refusal(Tensor("x", "BYTES", (1,), encode_bytes([b"a", b"b"]))).detail


def test_big_endian_and_strided_arrays_are_brought_into_order() -> None:
    array = np.arange(6, dtype=">i4").reshape(2, 3)[:, ::2]
    tensor = Tensor.of("x", np.asarray(array, dtype="<i4"))
    assert tensor.array().tolist() == array.tolist()


def test_an_array_without_a_datatype_is_a_fault_of_the_program() -> None:
    with pytest.raises(TypeError):
        Tensor.of("x", np.zeros(1, dtype=np.complex64))
    with pytest.raises(KeyError):
        datatype_of(np.dtype(np.complex64))
    assert datatype_of(np.dtype(np.float32)) == "FP32"
    assert dtype_of("BYTES") is None
