"""Shared memory: what comes back when, and what is not believed."""

import fcntl
import gc
import os

import numpy as np
import pytest

from trireme_inference.workers.messages import BadMessage, Placed
from trireme_inference.workers.segment import SegmentPool, array_of, create, map_whole, parts_of


def test_a_segment_comes_back_with_its_last_view() -> None:
    pool = SegmentPool()
    first, whole = pool.lend(1000)
    number = first.number
    view = whole[8:24].view(np.float32).reshape(2, 2)
    data = view.reshape(-1).view(np.uint8).data
    del whole, view, first
    other, _ = pool.lend(1000)
    assert other.number != number
    del data
    again, _ = pool.lend(1000)
    assert again.number == number


def test_a_larger_batch_takes_a_larger_segment_and_the_smaller_one_is_dropped() -> None:
    pool = SegmentPool()
    small, whole = pool.lend(10)
    del whole
    large, _ = pool.lend(small.size + 1)
    assert large.size == 2 * small.size
    assert not pool.alive(small.number)
    assert pool.alive(large.number)


def test_nothing_stays_open_after_the_end() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    pool = SegmentPool()
    lent = [pool.lend(100_000) for _ in range(3)]
    spare, whole = pool.lend(1)
    del spare, whole
    assert len(os.listdir("/proc/self/fd")) > before
    pool.close()
    views = [whole[:8] for _, whole in lent]
    del lent, views
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_segment_cannot_be_shrunk_under_the_other_process() -> None:
    descriptor = create(4096)
    mapped = map_whole(os.dup(descriptor))
    for size in (0, 8192):
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, size)
    with pytest.raises(PermissionError):
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    assert len(mapped) == 4096
    os.close(descriptor)


@pytest.mark.parametrize(
    "placed",
    [
        Placed("y", "FP32", (2,), 4090, 8),
        Placed("y", "FP32", (2,), -8, 8),
        Placed("y", "FP32", (3,), 0, 8),
        Placed("y", "FP32", (-1,), 0, 8),
        Placed("y", "FP32", (2,), 0, 7),
        Placed("y", "FP99", (2,), 0, 8),
        Placed("y", "BYTES", (1,), 0, 8),
        Placed("y", "BYTES", (3,), 100, 8),
    ],
    ids=str,
)
def test_a_place_that_does_not_hold_is_not_believed(placed: Placed) -> None:
    whole = np.full(4096, 255, np.uint8)
    whole[100:108] = 0
    with pytest.raises(BadMessage):
        array_of(whole, placed)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.arange(6, dtype=np.float64).reshape(2, 3).T,
        np.zeros((0, 5), np.float16),
        np.array(7, np.uint8),
        np.array([[b"", "中文".encode()], [b"\0", b"x" * 300]], dtype=object),
    ],
    ids=lambda array: str(array.dtype),
)
def test_an_array_lies_in_a_segment_as_it_was(array: np.ndarray) -> None:
    datatype, data = parts_of(array)
    whole = np.zeros(4096, np.uint8)
    whole[64 : 64 + len(data)] = np.frombuffer(data, np.uint8)
    got = array_of(whole, Placed("x", datatype, array.shape, 64, len(data)))
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)
