"""Shared memory of one batch: a memfd that both processes map, its tensors at aligned places.

A memfd has no name, so nothing is left behind whoever dies, and it is not on /dev/shm, which is small
in containers. It is sealed against another size: a process that shrank it could kill the other one
with SIGBUS.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import mmap
import os
import weakref
from collections import deque
from collections.abc import Callable

import numpy as np

from trireme_common.tensors import Array, datatype_of, decode_bytes, dtype_of, encode_bytes
from trireme_inference.workers.messages import BadMessage, Placed

_ALIGNMENT = 64
_SMALLEST = 64 * 1024
_SPARE_SEGMENTS = 2

Buffer = bytes | memoryview


def create(size: int) -> int:
    """Descriptor of a memfd of at least `size` bytes, sealed against resizing. Raises OSError."""
    descriptor = os.memfd_create("trireme-batch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def aligned(position: int) -> int:
    """The next place at which a tensor may begin."""
    return -(-position // _ALIGNMENT) * _ALIGNMENT


def map_whole(descriptor: int) -> mmap.mmap:
    """Maps all of a segment; takes the descriptor over."""
    try:
        return mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def array_of(whole: Array, placed: Placed) -> Array:
    """The tensor, as a view on the segment's bytes `whole`; BYTES give an object array of copies.

    Raises BadMessage where place, datatype and shape do not agree.
    """
    data = whole[placed.start : placed.start + placed.size]
    try:
        if placed.start < 0 or len(data) != placed.size or min(placed.shape, default=0) < 0:
            raise ValueError
        if placed.datatype == "BYTES":
            elements = decode_bytes(placed.name, data.tobytes())
            array = np.empty(len(elements), dtype=object)
            array[:] = elements
            return array.reshape(placed.shape)
        dtype = dtype_of(placed.datatype)
        if dtype is None:
            raise ValueError
        return data.view(dtype).reshape(placed.shape)
    except Exception as error:  # whatever numpy says of it: the other process is broken
        raise BadMessage(f"tensor '{placed.name}' does not lie where it is said to") from error


def parts_of(array: Array) -> tuple[str, Buffer]:
    """Protocol datatype of an array, and its bytes as they lie in a segment."""
    if array.dtype == np.object_:
        return "BYTES", encode_bytes(array.ravel().tolist())
    return datatype_of(array.dtype), np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


class Segment:
    """The service's end of one segment, of a power of two bytes: batches that grow little by little do
    not each need a new one."""

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = 1 << (max(size, _SMALLEST) - 1).bit_length()
        self.descriptor = create(self.size)
        self.map = mmap.mmap(self.descriptor, self.size)
        self.address: int = np.frombuffer(self.map, dtype=np.uint8).__array_interface__["data"][0]
        """Where this process sees it."""
        self._lease: weakref.ref[Array] | None = None

    def lend(self, back: Callable[[Segment], None]) -> Array:
        """All bytes; `back` is called with the segment when no view of them is left."""
        whole = np.frombuffer(self.map, dtype=np.uint8)

        def gone(_: weakref.ref[Array]) -> None:
            self._lease = None
            back(self)

        self._lease = weakref.ref(whole, gone)
        return whole

    def close(self) -> None:
        """Closes the descriptor; the mapping goes with its last view."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class SegmentPool:
    """Segments of the workers of one model. A segment is lent for a batch and comes back by itself once
    nothing refers to its inputs and outputs any more, so outputs are read in place; meanwhile another
    one is used. Used from several threads; without a lock, because views may die anywhere."""

    def __init__(self) -> None:
        self._spare: deque[Segment] = deque()
        self._numbers = itertools.count(1)
        self._alive: dict[int, Segment] = {}
        self._closed = False

    def lend(self, size: int) -> tuple[Segment, Array]:
        """A segment of at least `size` bytes that nobody uses, and all of its bytes, by whose views it
        is held. Raises OSError where memory is short."""
        segment = self._taken(size)
        return segment, segment.lend(self._give_back)

    def _taken(self, size: int) -> Segment:
        with contextlib.suppress(IndexError):
            while True:
                segment = self._spare.pop()
                if segment.size >= size and len(self._spare) < _SPARE_SEGMENTS:
                    return segment
                self._drop(segment)
        segment = Segment(next(self._numbers), size)
        self._alive[segment.number] = segment
        return segment

    def alive(self, number: int) -> bool:
        """Whether the segment may be used again."""
        return number in self._alive

    def close(self) -> None:
        """Closes all descriptors; memory that is lent goes with its last view."""
        self._closed = True
        self._spare.clear()
        while self._alive:
            self._alive.popitem()[1].close()

    def _give_back(self, segment: Segment) -> None:
        if not self._closed:
            self._spare.append(segment)

    def _drop(self, segment: Segment) -> None:
        del self._alive[segment.number]
        segment.close()
