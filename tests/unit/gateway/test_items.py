from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import decode_tensors, encode_bytes
from trireme_gateway.items import INPUT_OF_TASK, encode_image, encode_numbers, encode_text, item_bytes
from trireme_protos.trireme.v1 import envelope_pb2


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_texts(text: str) -> None:
    payload = encode_text(text)
    (tensor,) = decode_tensors(payload)
    assert (tensor.name, tensor.datatype) == INPUT_OF_TASK["text-classification"]
    assert tensor.array().tolist() == [text.encode()]
    assert item_bytes(payload) == len(text.encode())


@given(st.binary())
def test_pictures(data: bytes) -> None:
    payload = encode_image(data)
    (tensor,) = decode_tensors(payload)
    assert (tensor.name, tensor.datatype) == INPUT_OF_TASK["image-classification"]
    assert tensor.array().tolist() == [data]
    assert item_bytes(payload) == len(data)


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_numbers(numbers: list[float]) -> None:
    payload = encode_numbers(numbers)
    (tensor,) = decode_tensors(payload)
    assert (tensor.name, tensor.datatype) == INPUT_OF_TASK["tabular"]
    assert tensor.shape == (1, len(numbers))
    assert tensor.array().tobytes() == struct.pack(f"<{len(numbers)}d", *numbers)
    assert item_bytes(payload) == 8 * len(numbers)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(TriremeError) as refused:
        encode_text("\ud800")
    assert refused.value.code is Code.INVALID_ARGUMENT


@given(data=st.binary(max_size=70_000))
def test_a_picture_is_written_as_protobuf_writes_it(data: bytes) -> None:
    tensor = envelope_pb2.Tensor(name="image", datatype="BYTES", shape=(1,), data=encode_bytes((data,)))
    assert encode_image(data) == envelope_pb2.Tensors(tensors=(tensor,)).SerializeToString()


@given(numbers=st.lists(st.floats(), max_size=300))
def test_numbers_are_written_as_protobuf_writes_them(numbers: list[float]) -> None:
    data = struct.pack(f"<{len(numbers)}d", *numbers)
    tensor = envelope_pb2.Tensor(name="features", datatype="FP64", shape=(1, len(numbers)), data=data)
    assert encode_numbers(numbers) == envelope_pb2.Tensors(tensors=(tensor,)).SerializeToString()
