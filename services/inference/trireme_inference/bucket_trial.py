"""Whether padding changes a model's answers: tried at load, with the golden request.

The golden request, and half of it, run as they are and padded to the next bucket and to the largest; where an
input has floats, once more with their signs turned, because a maximum over padding shows with negative
values alone. Every answer must stay what it was, within rtol 1e-4 and atol 1e-5 (kernels for other lengths
add in another order), else the buckets are off, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from trireme_common.repository import VersionFiles
from trireme_common.tensors import Array
from trireme_inference.backend import Backend, RunError
from trireme_inference.golden import read_golden
from trireme_inference.shape_buckets import ShapeBuckets, pad_rows
from trireme_inference.signature import Signature

_RTOL = 1e-4
_ATOL = 1e-5

Feed = dict[str, Array]


class _Refused(Exception):
    """Why padding is off."""


def with_buckets(signature: Signature, backend: Backend, files: VersionFiles) -> tuple[Signature, str]:
    """The signature with the buckets of model.yaml where padding keeps the answers, else as it was, and why.

    Raises SpecError for an unreadable golden.json.
    """
    lengths = tuple(sorted(set(files.spec.batching.shape_buckets)))
    golden = files.golden if files.spec.warmup else None
    try:
        inputs = _ragged(signature)
        if golden is None:
            raise _Refused(
                "they need a warm-up with a golden.json, whose answer must not change when it is padded"
            )
        feed = {tensor.name: tensor.array() for tensor in read_golden(golden).request}
        buckets = ShapeBuckets(lengths, inputs, (None,) * len(signature.outputs))
        return replace(signature, buckets=_try(signature, buckets, backend, feed)), ""
    except _Refused as refused:
        return signature, str(refused)


def _ragged(signature: Signature) -> tuple[int | None, ...]:
    axes: list[int | None] = []
    for info in signature.inputs:
        free = [axis for axis, size in enumerate(info.shape) if size == -1 and axis > 0]
        if len(free) > 1:
            raise _Refused(f"input '{info.name}' has {len(free)} free dimensions beyond the batch")
        if free and info.datatype == "BYTES":
            raise _Refused(f"input '{info.name}' holds BYTES, which have no value to pad with")
        axes.append(free[0] if free else None)
    if not signature.batchable:
        raise _Refused("the model is not batched")
    if axes.count(None) == len(axes):
        raise _Refused("no input has a free dimension beyond the batch")
    return tuple(axes)


def _try(signature: Signature, buckets: ShapeBuckets, backend: Backend, feed: Feed) -> ShapeBuckets:
    found: set[tuple[int | None, ...]] = set()
    for trial, length in _trials(signature, buckets, feed):
        try:
            alone = backend.run(trial, signature.fetch)
        except RunError:
            continue  # a part of the golden request, or its negative, need not be a good one
        for bucket in _targets(buckets, length):
            padded = {
                info.name: _pad(trial[info.name], axis, bucket)
                for info, axis in zip(signature.inputs, buckets.inputs, strict=True)
            }
            try:
                outputs = backend.run(padded, signature.fetch)
            except RunError as error:
                raise _Refused(f"the model fails on a padded request: {error.detail}") from error
            found.add(_compare(signature, alone, outputs, length, bucket))
    if len(found) != 1:
        problem = "outputs do not follow the length in one way" if found else "no bucket is longer than it"
        raise _Refused(f"tried with the golden request, {problem}")
    return replace(buckets, outputs=found.pop())


def _trials(signature: Signature, buckets: ShapeBuckets, feed: Feed) -> Iterator[tuple[Feed, int]]:
    """Requests to be padded, and their lengths."""
    shapes = tuple(feed[info.name].shape[1:] for info in signature.inputs)
    own = buckets.length(shapes)
    if own is None:
        raise _Refused("the golden request's inputs differ in length")
    longest = min(own, buckets.lengths[-1] - 1)
    for length in sorted({longest, (longest + 1) // 2} - {0}):
        part = {
            info.name: feed[info.name] if axis is None else _first(feed[info.name], axis, length)
            for info, axis in zip(signature.inputs, buckets.inputs, strict=True)
        }
        yield part, length
        if any(array.dtype.kind == "f" for array in part.values()):
            yield {name: -array if array.dtype.kind == "f" else array for name, array in part.items()}, length


def _targets(buckets: ShapeBuckets, length: int) -> list[int]:
    longer = [bucket for bucket in buckets.lengths if bucket > length]
    return sorted({longer[0], longer[-1]})


def _first(array: Array, axis: int, length: int) -> Array:
    return np.ascontiguousarray(array[(slice(None),) * axis + (slice(length),)])


def _pad(array: Array, axis: int | None, length: int) -> Array:
    if axis is None:
        return array
    return pad_rows([array], (*array.shape[1:axis], length, *array.shape[axis + 1 :]))


def _compare(
    signature: Signature, alone: Sequence[Array], padded: Sequence[Array], length: int, bucket: int
) -> tuple[int | None, ...]:
    """The axis of every output that follows the length. Raises _Refused where an answer differs."""
    axes: list[int | None] = []
    for info, own, other in zip(signature.outputs, alone, padded, strict=True):
        axis = None
        if own.shape != other.shape:
            axis = _following(own.shape, other.shape, length, bucket)
            if axis is None:
                raise _Refused(
                    f"output '{info.name}' has shape {list(own.shape)} at length {length}, "
                    f"{list(other.shape)} padded to {bucket}"
                )
            other = _first(other, axis, length)
        if not _same(own, other):
            raise _Refused(f"output '{info.name}' of length {length} changes when it is padded to {bucket}")
        axes.append(axis)
    return tuple(axes)


def _following(own: tuple[int, ...], padded: tuple[int, ...], length: int, bucket: int) -> int | None:
    if len(own) != len(padded):
        return None
    differing = [axis for axis, (left, right) in enumerate(zip(own, padded, strict=True)) if left != right]
    axis = differing[0]
    follows = len(differing) == 1 and axis > 0 and (own[axis], padded[axis]) == (length, bucket)
    return axis if follows else None


def _same(own: Array, other: Array) -> bool:
    if own.dtype.kind != "f":
        return bool(np.array_equal(own, other))
    return bool(np.allclose(other, own, rtol=_RTOL, atol=_ATOL, equal_nan=True))
