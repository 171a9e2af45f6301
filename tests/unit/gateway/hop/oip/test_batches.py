from __future__ import annotations

import numpy as np
import pytest

from trireme_common.errors import Code, TriremeError
from trireme_common.tensors import Tensor, encode_bytes
from trireme_gateway.hop.oip.batches import Batch, batches
from trireme_gateway.hop.ports import HopItem, HopRequest

REQUEST = HopRequest("r", 0.0)


def rows(*values: float, width: int = 2) -> tuple[Tensor, ...]:
    return (Tensor.of("x", np.array([[value] * width for value in values], np.float32)),)


def placed(*items: tuple[Tensor, ...]) -> list[tuple[HopItem, tuple[Tensor, ...]]]:
    """Items whose payloads say their places."""
    return [(HopItem(REQUEST, b"%d" % place), tensors) for place, tensors in enumerate(items)]


def places(batch: Batch) -> list[int]:
    return [int(item.payload) for item in batch.items]


def test_without_a_number_of_rows_every_item_goes_alone() -> None:
    found = batches(placed(rows(1), rows(2)), most_rows=0)
    assert [places(batch) for batch in found] == [[0], [1]]
    assert [batch.joined() for batch in found] == [rows(1), rows(2)]


def test_items_of_equal_shapes_join_along_the_rows() -> None:
    (batch,) = batches(placed(rows(1), rows(2, 3), rows(4)), most_rows=8)
    assert tuple(batch.joined()) == rows(1, 2, 3, 4)
    assert list(batch.cut(rows(10, 20, 30, 40))) == [rows(10), rows(20, 30), rows(40)]


def test_a_call_takes_no_more_rows_than_the_model() -> None:
    found = batches(placed(rows(1), rows(2), rows(3), rows(4, 5, 6)), most_rows=2)
    assert [places(batch) for batch in found] == [[0, 1], [2], [3]]


def test_other_shapes_and_datatypes_go_apart_and_find_each_other() -> None:
    whole = (Tensor.of("x", np.ones((1, 2), np.int64)),)
    found = batches(placed(rows(1), rows(2, width=3), whole, rows(4), rows(5, width=3)), most_rows=8)
    assert [places(batch) for batch in found] == [[0, 3], [1, 4], [2]]


def test_tensors_that_do_not_agree_on_their_rows_go_alone() -> None:
    odd = (*rows(1), Tensor.of("n", np.array(3)))
    found = batches(placed(odd, odd), most_rows=8)
    assert [places(batch) for batch in found] == [[0], [1]]


def test_bytes_are_cut_between_their_elements() -> None:
    def words(*found: bytes, count: int) -> tuple[Tensor, ...]:
        return (Tensor("w", "BYTES", (count, 2), encode_bytes(found)),)

    items = placed(words(b"a", b"", count=1), words(b"bcd", b"e", b"f", b"gh", count=2))
    (batch,) = batches(items, most_rows=8)
    joined = tuple(batch.joined())
    assert joined == words(b"a", b"", b"bcd", b"e", b"f", b"gh", count=3)
    assert list(batch.cut(joined)) == [item for _, item in items]


@pytest.mark.parametrize("outputs", [rows(1, 2, 3), (), (Tensor.of("x", np.array(1.0)),)])
def test_an_answer_without_the_rows_is_refused(outputs: tuple[Tensor, ...]) -> None:
    (batch,) = batches(placed(rows(1), rows(2)), most_rows=8)
    with pytest.raises(TriremeError) as refused:
        list(batch.cut(outputs))
    assert refused.value.code is Code.INTERNAL


def test_a_batch_taken_apart_is_its_items() -> None:
    (batch,) = batches(placed(rows(1), rows(2)), most_rows=8)
    assert [(places(one), one.joined()) for one in batch.alone()] == [([0], rows(1)), ([1], rows(2))]
