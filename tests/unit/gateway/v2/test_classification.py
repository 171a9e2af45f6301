"""The classification extension."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.gateway.v2.fakes import LABELS, bytes_of
from trireme_common.errors import TriremeError
from trireme_common.tensors import Tensor
from trireme_gateway.v2.classification import classify


def test_the_largest_come_first_row_by_row() -> None:
    tensor = Tensor.of("y", np.array([[0.25, 0.5, 0.125], [3.0, 1.0, 2.0]], dtype=np.float32))
    classes = classify(tensor, 2, LABELS, batched=True)
    assert (classes.datatype, classes.shape) == ("BYTES", (2, 2))
    assert bytes_of(classes) == [
        b"0.500000:1:neutral",
        b"0.250000:0:negative",
        b"3.000000:0:negative",
        b"2.000000:2:positive",
    ]


def test_without_a_batch_the_whole_tensor_is_one_row() -> None:
    tensor = Tensor.of("y", np.array([[1, 5], [7, 2]], dtype=np.uint8))
    classes = classify(tensor, 10, LABELS, batched=False)
    assert classes.shape == (4,)
    assert bytes_of(classes) == [b"7:2", b"5:1", b"2:3", b"1:0"]


def test_an_outputs_own_labels_name_the_classes_as_far_as_they_go() -> None:
    tensor = Tensor.of("y", np.array([[1, 5, 3]], dtype=np.uint8))
    classes = classify(tensor, 3, ("a", ""), batched=True, own=True)
    assert bytes_of(classes) == [b"5:1", b"3:2", b"1:0:a"]


def test_bf16_is_understood_and_equal_values_keep_their_order() -> None:
    tensor = Tensor("y", "BF16", (1, 3), b"\x80\x3f\x80\x3f\x00\x40")
    classes = classify(tensor, 3, (), batched=True)
    assert bytes_of(classes) == [b"2.000000:2", b"1.000000:0", b"1.000000:1"]


@pytest.mark.parametrize(
    ("array", "order"),
    [
        (np.array([2**53, 2**53 + 1, -(2**63)], dtype=np.int64), [1, 0, 2]),
        (np.array([0, 2**64 - 1, 2**64 - 2, 0], dtype=np.uint64), [1, 2, 0, 3]),
        (np.array([-128, 127, 0], dtype=np.int8), [1, 2, 0]),
        (np.array([np.nan, 1, np.inf, -np.inf], dtype=np.float32), [2, 1, 3, 0]),
        (np.array([1, 2, 65504], dtype=np.float16), [2, 1, 0]),
    ],
)
def test_the_order_is_exact_for_every_type(array: np.ndarray, order: list[int]) -> None:
    classes = classify(Tensor.of("y", array), array.size, (), batched=False)
    assert [int(entry.split(b":")[1]) for entry in bytes_of(classes)] == order


@pytest.mark.parametrize(("shape", "batched", "classes"), [((), True, (1,)), ((2, 2, 3), True, (2, 4))])
def test_a_scalar_is_a_row_and_further_dimensions_are_part_of_it(
    shape: tuple[int, ...], batched: bool, classes: tuple[int, ...]
) -> None:
    tensor = Tensor.of("y", np.zeros(shape, dtype=np.float32))
    assert classify(tensor, 4, (), batched=batched).shape == classes


def test_what_is_sorted_is_bounded() -> None:
    with pytest.raises(TriremeError, match="at most 1000000 elements, not 1000001"):
        classify(Tensor.of("y", np.zeros(1_000_001, dtype=np.uint8)), 1, (), batched=False)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0,)])
def test_empty_tensors_have_no_classes(shape: tuple[int, ...]) -> None:
    classes = classify(Tensor("y", "FP32", shape, b""), 2, LABELS, batched=True)
    assert bytes_of(classes) == []
    assert 0 in classes.shape


def test_texts_have_no_order() -> None:
    with pytest.raises(TriremeError, match="classification needs numbers"):
        classify(Tensor("y", "BYTES", (0,), b""), 1, (), batched=True)
