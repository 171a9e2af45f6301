"""A batch on its way to a worker: its inputs are written once, straight into shared memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from trireme_common.tensors import Array, datatype_of
from trireme_inference.requests import Part
from trireme_inference.workers.messages import Placed
from trireme_inference.workers.segment import Buffer, SegmentPool, aligned, parts_of


class Staging:
    """Memory of one batch: `stack` its inputs into it, run on the arrays of that, read the outputs in it.

    `deadline` is when the last of its callers gives up, in seconds of the monotonic clock. Raises
    OSError where memory is short.
    """

    def __init__(self, pool: SegmentPool, size: int, deadline: float) -> None:
        self.deadline = deadline
        self._pool = pool
        self.segment, self.whole = pool.lend(size)
        self.free = 0
        """Where room begins."""

    def stack(self, parts: Sequence[Part]) -> Part | Array:
        """The parts one after the other: in shared memory, or elsewhere where they do not fit."""
        start = self.free
        if start + sum(map(len, parts)) > self.segment.size:
            return b"".join(parts)
        position = start
        for part in parts:
            end = position + len(part)
            self.segment.map[position:end] = part
            position = end
        self.free = aligned(position)
        return self.whole[start:position]

    def place(self, feed: Mapping[str, Array]) -> tuple[Placed, ...]:
        """Where each tensor lies; those that were not stacked are copied now."""
        starts = {name: self._start(array) for name, array in feed.items()}
        loose = {name: parts_of(array) for name, array in feed.items() if starts[name] < 0}
        if loose and self.free + room_for(len(data) for _, data in loose.values()) > self.segment.size:
            loose = {name: parts_of(array) for name, array in feed.items()}
            # What is stacked lives on until it is copied: the arrays of `feed` hold it.
            self.segment, self.whole = self._pool.lend(room_for(len(data) for _, data in loose.values()))
            self.free = 0
        return tuple(
            [
                self._copied(name, array.shape, *loose[name])
                if name in loose
                else Placed(name, datatype_of(array.dtype), array.shape, starts[name], array.nbytes)
                for name, array in feed.items()
            ]
        )

    def _start(self, array: Array) -> int:
        """Where the array lies in the segment; -1 where it lies elsewhere, or not in one piece."""
        start = int(array.__array_interface__["data"][0]) - self.segment.address
        inside = 0 <= start <= self.segment.size - array.nbytes
        return start if inside and array.flags.c_contiguous and array.dtype != np.object_ else -1

    def _copied(self, name: str, shape: tuple[int, ...], datatype: str, data: Buffer) -> Placed:
        start = self.free
        self.segment.map[start : start + len(data)] = data
        self.free = aligned(start + len(data))
        return Placed(name, datatype, shape, start, len(data))


def room_for(sizes: Iterable[int]) -> int:
    """Bytes that tensors of these sizes take, each at an aligned place."""
    return sum(map(aligned, sizes))
