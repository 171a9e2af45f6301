"""The requests that a config.pbtxt warms its model up with, as tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from trireme_common.errors import SpecError, TriremeError
from trireme_common.repository import VersionFiles
from trireme_common.steps import Assets
from trireme_common.tensors import Array, Tensor, dtype_of
from trireme_common.triton.warmup import WarmUpInput, WarmUpSample
from trireme_inference.backend import Backend, RunError
from trireme_inference.signature import Signature

_FOLDER = "warmup"
_SEED = 0


@dataclass(frozen=True)
class Sample:
    """One request; `count` is how often it is run."""

    name: str
    feed: Mapping[str, Array]
    count: int

    def run(self, backend: Backend, fetch: tuple[str, ...]) -> None:
        """Raises SpecError where the model fails on it."""
        for _ in range(self.count):
            try:
                backend.run(self.feed, fetch)
            except RunError as error:
                raise SpecError(f"warm-up with sample '{self.name}' failed: {error.detail}") from error


def samples_of(files: VersionFiles, signature: Signature) -> list[Sample]:
    """The samples of a version's configuration. Raises SpecError for one that does not fit the model."""
    if files.triton is None:
        return []
    assets = Assets(files.directory.parent)
    return [_sample(sample, signature, assets) for sample in files.triton.warmup]


def _sample(sample: WarmUpSample, signature: Signature, assets: Assets) -> Sample:
    ranks = {info.name: len(info.shape) for info in signature.inputs}
    try:
        tensors = [
            # `dims` leave out the batch dimension of a model that has one.
            _tensor(given, sample.rows if ranks.get(given.name) == len(given.dims) + 1 else 0, assets)
            for given in sample.inputs
        ]
        signature.check(tensors)
        feed = {tensor.name: tensor.array() for tensor in tensors}
    except TriremeError as error:
        raise SpecError(f"warm-up sample '{sample.name}': {error.detail}") from error
    return Sample(sample.name, feed, sample.count)


def _tensor(given: WarmUpInput, rows: int, assets: Assets) -> Tensor:
    """`rows`: how often the row stands in it; 0 for a tensor without a batch dimension."""
    if given.file:
        data = assets.path(f"{_FOLDER}/{given.file}").read_bytes()
        row = Tensor(given.name, given.datatype, given.dims, data).array()
    else:
        row = _made(given)
    array = np.repeat(row[np.newaxis], rows, axis=0) if rows else row
    return Tensor(given.name, given.datatype, array.shape, Tensor.of(given.name, array).data)


def _made(given: WarmUpInput) -> Array:
    dtype = dtype_of(given.datatype)
    if dtype is None:
        return np.full(given.dims, b"", dtype=object)
    if not given.random:
        return np.zeros(given.dims, dtype)
    generator = np.random.default_rng(_SEED)
    if dtype.kind == "f":
        return generator.random(given.dims).astype(dtype)
    # Integers may be indices: 0 and 1 nearly always exist.
    return generator.integers(0, 2, given.dims).astype(dtype)
