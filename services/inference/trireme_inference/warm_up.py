"""The first runs of a model: its golden answer, its samples, and whether requests may share a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trireme_common.errors import SpecError, TriremeError
from trireme_common.repository import GOLDEN_FILE, VersionFiles
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array, dtype_of
from trireme_common.triton.translation import TritonModel
from trireme_inference.backend import Backend, RunError
from trireme_inference.golden import Golden, read_golden
from trireme_inference.row_trial import depends_on_others, is_float, to_floats
from trireme_inference.signature import Signature, batches
from trireme_inference.warm_up_samples import Sample, samples_of

_SEED = 0

Feed = dict[str, Array]


@dataclass(frozen=True)
class Warm:
    """What the first runs of a model showed."""

    problem: str = ""
    """Why requests may not share a run; empty where they may."""
    feed: Mapping[str, Array] = field(default_factory=dict)
    """A request like those to come; empty where nothing is known of their sizes."""


def warm_up(
    files: VersionFiles,
    backend: Backend,
    signature: Signature,
    notes: list[str],
    *,
    new_indices: bool = True,
) -> Warm:
    """Runs the model once on its golden request, or on the first sample of its configuration, or on random
    floats and zeros, then on all samples, and tries whether requests may share runs. `new_indices`: as
    `depends_on_others`; to be False where an index beyond its table would cost more than a process.

    Raises SpecError; a model of Triton's that dislikes zeros is served all the same, as Triton does, and
    that goes to `notes`.
    """
    golden = read_golden(files.golden) if files.golden is not None else None
    samples = samples_of(files, signature)
    feeds, what = _requests(golden, samples, signature)
    given = golden is not None or bool(samples)
    try:
        feed, alone = _run_first(backend, feeds, signature.fetch)
    except RunError as error:
        if not given and files.triton is not None:
            return _untried(files.triton, notes)
        raise SpecError(f"warm-up with {what} failed: {error.detail}") from error
    if golden is not None:
        golden.compare(dict(zip(signature.fetch, alone, strict=True)))
    for sample in samples:
        sample.run(backend, signature.fetch)
    typical = feed if given or _fixed_rows(signature) else {}
    if not signature.batchable or files.spec.batching.max_batch_size == 1:
        return Warm(feed=typical)
    problem = depends_on_others(backend, signature, feed, alone, given=given, new_indices=new_indices)
    return Warm(problem, typical)


def first_runs(files: VersionFiles, backend: Backend) -> None:
    """Runs the model as `warm_up` will, but for samples. Nothing is said of the answers.

    Raises SpecError for a golden file that cannot be read, and RunError.
    """
    signature = Signature(backend.inputs, backend.outputs, batches(backend.inputs, backend.outputs))
    feeds = _made(backend.inputs)
    if files.golden is not None:
        feeds = [{tensor.name: tensor.array() for tensor in read_golden(files.golden).request}]
    feed, alone = _run_first(backend, feeds, signature.fetch)
    # The golden request is not checked here: it may have other ranks than the model's.
    rows = signature.batchable and all(array.ndim for array in feed.values())
    if rows and files.spec.batching.max_batch_size > 1:
        depends_on_others(backend, signature, feed, alone, given=files.golden is not None)


def _requests(
    golden: Golden | None, samples: Sequence[Sample], signature: Signature
) -> tuple[list[Feed], str]:
    """What the model is to run first, of which one is enough, and its name. Raises SpecError for a golden
    request that the model does not take."""
    if golden is not None:
        try:
            signature.check(golden.request)
        except TriremeError as error:
            raise SpecError(f"{golden.path}: {error.detail}") from error
        return [{tensor.name: tensor.array() for tensor in golden.request}], "the golden request"
    if samples:
        return [dict(samples[0].feed)], f"sample '{samples[0].name}'"
    return _made(signature.inputs), "zeros (give a golden.json, or set warmup: false)"


def _run_first(
    backend: Backend, feeds: Sequence[Feed], fetch: tuple[str, ...]
) -> tuple[Feed, Sequence[Array]]:
    """The first of `feeds` that the model takes, and its answer. Raises RunError of the last."""
    for feed in feeds[:-1]:
        try:
            return feed, backend.run(feed, fetch)
        except RunError:
            continue
    return feeds[-1], backend.run(feeds[-1], fetch)


def _untried(triton: TritonModel, notes: list[str]) -> Warm:
    """Of a model that nothing is known to run on. Callers share runs where the configuration asks for it:
    Triton would trust it too."""
    notes.append(f"not warmed up: the model fails on zeros; give a {GOLDEN_FILE} or model_warmup")
    return Warm() if triton.asks_for_batches else Warm("nothing tells whether rows depend on each other")


def _fixed_rows(signature: Signature) -> bool:
    """Whether all rows have one size, so that zeros take as long as a request."""
    return all(size != -1 for info in signature.inputs for size in info.shape[1:])


def _made(inputs: Sequence[TensorInfo]) -> list[Feed]:
    """Requests of one row, the more telling one first: random floats, and zeros for all that may be an index;
    zeros alone."""
    zeros = {info.name: _zeros(info) for info in inputs}
    generator = np.random.default_rng(_SEED)
    floats = {
        info.name: to_floats(info, generator.standard_normal(zeros[info.name].shape))
        for info in inputs
        if is_float(info)
    }
    return [{**zeros, **floats}, zeros] if floats else [zeros]


def _zeros(info: TensorInfo) -> Array:
    shape = tuple(1 if size == -1 else size for size in info.shape)
    dtype = dtype_of(info.datatype)
    return np.full(shape, b"", dtype=object) if dtype is None else np.zeros(shape, dtype=dtype)
