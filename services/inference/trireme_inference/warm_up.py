"""The first runs of a model: its golden answer, and whether rows answer the same alone and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trireme_common.errors import SpecError, TriremeError
from trireme_common.repository import GOLDEN_FILE, VersionFiles
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array, dtype_of
from trireme_inference.backend import Backend, RunError
from trireme_inference.golden import read_golden
from trireme_inference.signature import Signature
from trireme_inference.warm_up_samples import samples_of

# How far a row of a batch may be from its answer alone before batching is refused.
_TOGETHER_RTOL = 1e-3
_TOGETHER_ATOL = 1e-4


@dataclass(frozen=True)
class Warm:
    """What the first runs of a model showed."""

    problem: str = ""
    """Why requests may not share a run; empty where they may."""
    feed: Mapping[str, Array] = field(default_factory=dict)
    """A request like those to come; empty where nothing is known of their sizes."""


def warm_up(files: VersionFiles, backend: Backend, signature: Signature, notes: list[str]) -> Warm:
    """Runs the model once on its golden request, or on the first sample of its configuration, or on zeros,
    then on all samples, and once with as many rows more as at first.

    Raises SpecError; a model of Triton's that dislikes zeros is served all the same, as Triton does, and
    that goes to `notes`.
    """
    path = files.golden
    golden = read_golden(path) if path is not None else None
    samples = samples_of(files, signature)
    if golden is not None:
        try:
            signature.check(golden.request)
        except TriremeError as error:
            raise SpecError(f"{path}: {error.detail}") from error
        feed, what = {tensor.name: tensor.array() for tensor in golden.request}, "the golden request"
    elif samples:
        feed, what = dict(samples[0].feed), f"sample '{samples[0].name}'"
    else:
        feed = {info.name: _zeros(info) for info in signature.inputs}
        what = "zeros (give a golden.json, or set warmup: false)"
    given = golden is not None or bool(samples)
    try:
        alone = backend.run(feed, signature.fetch)
    except RunError as error:
        if not given and files.triton is not None:
            notes.append(f"not warmed up: the model fails on zeros; give a {GOLDEN_FILE} or model_warmup")
            return Warm()
        raise SpecError(f"warm-up with {what} failed: {error.detail}") from error
    if golden is not None:
        golden.compare(dict(zip(signature.fetch, alone, strict=True)))
    for sample in samples:
        sample.run(backend, signature.fetch)
    typical = feed if given or _fixed_rows(signature) else {}
    if not signature.batchable or files.spec.batching.max_batch_size == 1:
        return Warm(feed=typical)
    return Warm(_together(backend, signature, feed, alone), typical)


def first_feed(files: VersionFiles, inputs: Sequence[TensorInfo]) -> dict[str, Array]:
    """The golden request, unchecked, or zeros. Raises SpecError for a golden file that cannot be read."""
    if files.golden is None:
        return {info.name: _zeros(info) for info in inputs}
    return {tensor.name: tensor.array() for tensor in read_golden(files.golden).request}


def _fixed_rows(signature: Signature) -> bool:
    """Whether all rows have one size, so that zeros take as long as a request."""
    return all(size != -1 for info in signature.inputs for size in info.shape[1:])


def _zeros(info: TensorInfo) -> Array:
    shape = tuple(1 if size == -1 else size for size in info.shape)
    dtype = dtype_of(info.datatype)
    return np.full(shape, b"", dtype=object) if dtype is None else np.zeros(shape, dtype=dtype)


def _together(
    backend: Backend, signature: Signature, feed: Mapping[str, Array], alone: Sequence[Array]
) -> str:
    rows = len(next(iter(feed.values())))
    outputs = _run_beside(backend, signature, feed)
    if outputs is None:
        return f"the model fails on {2 * rows} rows"
    for info, single, double in zip(signature.outputs, alone, outputs, strict=True):
        if single.shape[:1] != (rows,) or double.shape[:1] != (2 * rows,):
            return f"output '{info.name}' has not the rows of the input"
        if not _same(double[:rows], single):
            return f"output '{info.name}' of a row depends on its neighbours"
    return ""


def _run_beside(backend: Backend, signature: Signature, feed: Mapping[str, Array]) -> list[Array] | None:
    """Outputs with neighbours of zeros or, for a model that dislikes them, with the same rows again."""
    empty = {info.name: b"" if info.datatype == "BYTES" else 0 for info in signature.inputs}
    for neighbours in ({name: np.full_like(array, empty[name]) for name, array in feed.items()}, feed):
        try:
            return backend.run(
                {name: np.concatenate([array, neighbours[name]]) for name, array in feed.items()},
                signature.fetch,
            )
        except RunError:
            continue
    return None


def _same(left: Array, right: Array) -> bool:
    if right.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    return bool(
        left.shape == right.shape
        and np.allclose(left, right, rtol=_TOGETHER_RTOL, atol=_TOGETHER_ATOL, equal_nan=True)
    )
