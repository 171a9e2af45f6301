"""Whether a row's answer depends on the rows beside it: tried at load, because callers share runs.

A few rows of a first request run together with as many others, and must answer what they answered without.
No neighbours find everything: beside zeros a sum or a norm over the batch stays what it was, beside the same
rows a mean or a maximum does. So they are, a run each,

    the same rows once more;
    zeros, false, empty texts;
    others: floats larger than any of the request, of both signs. Integers may be indices, and one beyond
    its table can end a process, or a GPU's use to it, so they are 1, which nearly always exists. They stay
    what they are where that costs more than one process, and where somebody gave only zeros for one input
    and not for all: its table may have one row, as the token types of RoBERTa;
    others again: the same floats with their signs turned, beside what else is in the request;

behind the request and before it in turn, for what is handed on from row to row. A model need not take other
rows than the request's: a run that fails on such is passed over.

These runs have one shape, hence the same kernels, and agree closely where neighbours do not matter. Without
neighbours the rows take other kernels, which add in another order: where a model computes in TF32 or in half
precision that shows as percents of its largest output. Who looks at the size of a batch changes more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

import numpy as np

from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array, dtype_of
from trireme_inference.backend import Backend, RunError
from trireme_inference.signature import Signature

_MOST_ROWS = 8
_SEED = 0
_RTOL = 1e-3
_ATOL = 1e-4
_ROUNDING = {"FP16": 0.01, "BF16": 0.05}
"""Some steps of the type: how far two outputs may be apart, as a part of the largest."""
_ROUNDING_ALONE = 0.05

Feed = Mapping[str, Array]


class _Dependent(Exception):
    """Why requests may not share runs."""


def is_float(info: TensorInfo) -> bool:
    """Whether a tensor holds floating-point numbers."""
    return info.datatype in ("FP16", "FP32", "FP64", "BF16")


def to_floats(info: TensorInfo, values: Array) -> Array:
    """FP64 `values` as an array of a float tensor; what is beyond its range becomes its largest."""
    dtype = np.dtype(np.float32) if info.datatype == "BF16" else dtype_of(info.datatype)
    most = float(np.finfo(dtype or np.float64).max)
    array: Array = np.clip(values, -most, most).astype(dtype)
    return (array.view(np.uint32) >> 16).astype("<u2") if info.datatype == "BF16" else array


def depends_on_others(
    backend: Backend,
    signature: Signature,
    feed: Feed,
    outputs: Sequence[Array],
    *,
    given: bool = False,
    new_indices: bool = True,
) -> str:
    """Why the rows of several requests may not share a run; empty where they may.

    `feed` is a request that the model took, `outputs` its answer. Eight of its rows are tried at most, in
    four runs at most. `given`: somebody gave that request. `new_indices`: whether integers may be tried
    that are not 0 and not of the request.
    """
    rows = len(next(iter(feed.values())))
    few = {name: array[:_MOST_ROWS] for name, array in feed.items()}
    kept = _kept_indices(few, given=given, new_indices=new_indices)
    first: Sequence[Array] = ()
    try:
        _check_rows(signature, outputs, rows)
        for at, others in enumerate(_neighbours(signature, few, kept)):
            try:
                own = _beside(backend, signature, few, others, before=at % 2 == 1)
            except RunError:
                if at == 0:
                    raise _Dependent(f"the model fails on {2 * min(rows, _MOST_ROWS)} rows") from None
                continue
            first = first or own
            _compare(signature, own, first, [output[:_MOST_ROWS] for output in outputs])
    except _Dependent as dependent:
        return str(dependent)
    return ""


def _kept_indices(feed: Feed, *, given: bool, new_indices: bool) -> set[str]:
    """Integer inputs that are to be tried with no other values than 0 and those of `feed`."""
    indices = {name for name, array in feed.items() if array.dtype.kind in "iu"}
    if not new_indices:
        return indices
    told = given and any(array.any() for array in feed.values())
    return {name for name in indices if told and not feed[name].any()}


def _neighbours(signature: Signature, feed: Feed, kept: Set[str]) -> Iterator[Feed]:
    """Rows to stand beside those of `feed`, as many; those of the inputs `kept` are 0 or its own."""
    texts = {info.name for info in signature.inputs if info.datatype == "BYTES"}
    numbers = [info for info in signature.inputs if is_float(info)]
    yield feed
    yield {name: np.full_like(array, b"" if name in texts else 0) for name, array in feed.items()}
    generator = np.random.default_rng(_SEED)
    unlike = {info.name: _unlike(info, feed[info.name], generator) for info in numbers}
    own = texts | kept
    ones = {name: array if name in own else np.ones_like(array) for name, array in feed.items()}
    yield {**ones, **{info.name: to_floats(info, unlike[info.name]) for info in numbers}}
    if numbers:
        yield {**feed, **{info.name: to_floats(info, -unlike[info.name]) for info in numbers}}


def _unlike(info: TensorInfo, array: Array, generator: np.random.Generator) -> Array:
    """FP64 of the same shape, each farther from 0 than all of `array`."""
    own = np.abs(_numbers(info, array))
    most = 1.0 + float(own.max(initial=0.0, where=np.isfinite(own)))
    signs = generator.choice((-1.0, 1.0), array.shape)
    with np.errstate(over="ignore"):
        unlike: Array = signs * most * generator.uniform(1.0, 2.0, array.shape)
    return unlike


def _beside(backend: Backend, signature: Signature, feed: Feed, others: Feed, *, before: bool) -> list[Array]:
    """What the rows of `feed` answer with `others` behind or before them. Raises RunError, _Dependent."""
    both = (others, feed) if before else (feed, others)
    outputs = backend.run(
        {name: np.concatenate([part[name] for part in both]) for name in feed}, signature.fetch
    )
    rows = len(next(iter(feed.values())))
    _check_rows(signature, outputs, 2 * rows)
    return [output[rows:] if before else output[:rows] for output in outputs]


def _check_rows(signature: Signature, outputs: Sequence[Array], rows: int) -> None:
    for info, output in zip(signature.outputs, outputs, strict=True):
        if output.shape[:1] != (rows,):
            raise _Dependent(f"output '{info.name}' has not the rows of the input")


def _compare(
    signature: Signature, own: Sequence[Array], first: Sequence[Array], alone: Sequence[Array]
) -> None:
    for info, here, there, single in zip(signature.outputs, own, first, alone, strict=True):
        rounding = _ROUNDING.get(info.datatype, 0.0)
        if not (_same(info, here, there, rounding) and _same(info, here, single, _ROUNDING_ALONE)):
            raise _Dependent(f"output '{info.name}' of a row depends on its neighbours")


def _same(info: TensorInfo, left: Array, right: Array, rounding: float) -> bool:
    """`rounding`: how far they may be apart, as a part of the largest of `right`."""
    if not is_float(info) or left.shape != right.shape:
        return bool(np.array_equal(left, right))
    got, want = _numbers(info, left), _numbers(info, right)
    size = np.abs(want)
    atol = _ATOL + rounding * float(size.max(initial=0.0, where=np.isfinite(size)))
    return bool(np.allclose(got, want, rtol=_RTOL, atol=atol, equal_nan=True))


def _numbers(info: TensorInfo, array: Array) -> Array:
    """The values of a float tensor as FP64."""
    if info.datatype == "BF16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)
