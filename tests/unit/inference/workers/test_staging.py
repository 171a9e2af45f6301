"""Inputs are written once where they can be, and correctly where they cannot."""

import numpy as np

from tests.support.inference_fakes import Inbox, make_request
from trireme_common.tensors import Array
from trireme_inference.workers.messages import Placed
from trireme_inference.workers.segment import SegmentPool, array_of
from trireme_inference.workers.staging import Staging


def read(batch: Staging, placed: tuple[Placed, ...]) -> list[Array]:
    return [array_of(batch.whole, tensor) for tensor in placed]


def test_what_was_stacked_is_run_where_it_lies() -> None:
    inbox = Inbox()
    requests = [make_request(inbox, [[1, 2], [3, 4]]), make_request(inbox, [[5, 6]])]
    batch = Staging(SegmentPool(), 1000, 0.0)
    feed = requests[0].signature.feed(requests, batch.stack)
    free, segment = batch.free, batch.segment
    (placed,) = batch.place(feed)
    assert (placed.shape, placed.start, placed.size) == ((3, 2), 0, 24)
    assert (batch.free, batch.segment) == (free, segment)
    np.testing.assert_array_equal(read(batch, (placed,))[0], [[1, 2], [3, 4], [5, 6]])


def test_a_reshaped_view_of_what_was_stacked_still_lies_there() -> None:
    batch = Staging(SegmentPool(), 1000, 0.0)
    stacked = np.frombuffer(batch.stack([b"abcd", b"efgh"]), np.uint8)
    (placed,) = batch.place({"x": stacked.reshape(2, 2, 2)})
    assert (placed.start, placed.shape) == (0, (2, 2, 2))
    assert batch.free == 64


def test_what_lies_elsewhere_is_copied_beside_it() -> None:
    batch = Staging(SegmentPool(), 1000, 0.0)
    stacked = np.frombuffer(batch.stack([b"abcd"]), np.uint8)
    text = np.array([b"x", b"yz"], dtype=object)
    strided = np.arange(10, dtype=np.int32)[::2]
    placed = batch.place({"a": stacked, "t": text, "s": strided})
    assert [tensor.start for tensor in placed] == [0, 64, 128]
    got = read(batch, placed)
    np.testing.assert_array_equal(got[1], text)
    np.testing.assert_array_equal(got[2], strided)


def test_a_batch_that_outgrows_its_memory_moves_whole_to_a_larger_one() -> None:
    batch = Staging(SegmentPool(), 100, 0.0)
    stacked = np.frombuffer(batch.stack([b"abcd"]), np.uint8)
    large = np.arange(100_000, dtype=np.int64)
    first = batch.segment
    placed = batch.place({"a": stacked, "b": large})
    assert batch.segment is not first
    got = read(batch, placed)
    np.testing.assert_array_equal(got[0], np.frombuffer(b"abcd", np.uint8))
    np.testing.assert_array_equal(got[1], large)


def test_parts_that_do_not_fit_are_stacked_elsewhere() -> None:
    batch = Staging(SegmentPool(), 100, 0.0)
    parts = [b"a" * 50_000, b"b" * 50_000]
    assert batch.stack(parts) == b"".join(parts)
    assert batch.free == 0
