"""Requests of different lengths in one run: ragged inputs are padded to a bucket, answers cut back.

A ragged input has one free dimension beyond the batch. Its length is padded with zeros to the smallest bucket
that holds it, always the same one, so an answer does not depend on the lengths of its neighbours;
an attention mask among the inputs is padded with zeros as well, which is what says where padding begins.
Outputs that have the input's length are cut back to it. A request that is longer than every bucket, or whose
ragged inputs differ in length, runs as it is, with those of equal shapes.

Whether a model ignores its padding cannot be seen from its graph; bucket_trial.py tries it at load.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from trireme_common.tensors import Array
from trireme_inference.requests import Request, Shapes

_MOST_KNOWN = 4096


@dataclass(frozen=True)
class ShapeBuckets:
    """Where the lengths of one model stand, and to what they are padded."""

    lengths: tuple[int, ...]
    """Ascending."""
    inputs: tuple[int | None, ...]
    """The ragged axis of every input, batch dimension included; None where it has none."""
    outputs: tuple[int | None, ...]
    """The axis of every output that has the input's length."""
    _known: dict[Shapes, Shapes] = field(default_factory=dict, repr=False, compare=False)

    def padded(self, shapes: Shapes) -> Shapes:
        """`shapes` (without batch dimension) with their length raised to its bucket."""
        known = self._known.get(shapes)
        if known is None:
            known = self._pad(shapes)
            if len(self._known) < _MOST_KNOWN:
                self._known[shapes] = known
        return known

    def length(self, shapes: Shapes) -> int | None:
        """The one length of all ragged inputs, or None where they differ."""
        found = {shape[axis - 1] for shape, axis in zip(shapes, self.inputs, strict=True) if axis is not None}
        return found.pop() if len(found) == 1 else None

    def _pad(self, shapes: Shapes) -> Shapes:
        length = self.length(shapes)
        at = bisect_left(self.lengths, length) if length is not None else len(self.lengths)
        if at == len(self.lengths):
            return shapes
        bucket = self.lengths[at]
        return tuple(
            shape if axis is None else (*shape[: axis - 1], bucket, *shape[axis:])
            for shape, axis in zip(shapes, self.inputs, strict=True)
        )

    def cut(self, output: Array, axis: int, requests: Sequence[Request]) -> list[Array]:
        """Every request's rows of an output of a padded run, `axis` cut to the request's own length."""
        pieces = []
        start = 0
        for request in requests:
            rows = output[start : start + request.rows]
            length = self.length(request.shapes)
            pieces.append(rows[(slice(None),) * axis + (slice(length),)])
            start += request.rows
        return pieces


def pad_rows(arrays: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """Rows of `arrays` one below the other, each padded with zeros at the end of its dimensions.

    `shape` is that of a row and at least as large, in every dimension, as the rows of each array.
    """
    joined = np.zeros((sum(map(len, arrays)), *shape), dtype=arrays[0].dtype)
    start = 0
    for array in arrays:
        end = start + len(array)
        joined[(slice(start, end), *map(slice, array.shape[1:]))] = array
        start = end
    return joined
