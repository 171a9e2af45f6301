"""The requests that the original and the export must answer alike: given ones, then random ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trireme_common.tensors import Array
from trireme_lab.conversion.declaration import BATCH, Declared, Feeds, protocol_datatype
from trireme_lab.conversion.source import Source
from trireme_lab.export import from_v2
from trireme_lab.failure import LabFailure, LabUsage

# Three batches, one of a single row, and lengths that are no multiples of one another.
_BATCHES = (2, 1, 5)
_LENGTHS = (8, 13, 21)
ROUNDS = len(_BATCHES)
_SEED = 20
_GOLDEN_ROWS = 2


def read_sample(path: Path) -> Feeds:
    """Tensors of an .npz file, or of a JSON file that holds a v2 inference request. Raises LabUsage."""
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                feeds = {name: arrays[name] for name in arrays.files}
        else:
            document = json.loads(path.read_text("utf-8"))
            feeds = {tensor["name"]: from_v2(tensor) for tensor in document["inputs"]}
    except Exception as error:  # zipfile, zlib, numpy and json each have errors of their own
        raise LabUsage(
            f"{path}: no sample: {error}; give an .npz of arrays, or JSON: "
            '{"inputs": [{"name", "shape", "datatype", "data"}]}'
        ) from error
    for name, array in feeds.items():
        if protocol_datatype(array) is None:
            raise LabUsage(f"{path}: '{name}' is {array.dtype}; only numbers and booleans are served")
    return feeds


def random_requests(inputs: Sequence[Declared]) -> list[tuple[dict[str, int], Feeds]]:
    """Each with the sizes that its free axes have."""
    generator = np.random.default_rng(_SEED)
    made = []
    for batch, length in zip(_BATCHES, _LENGTHS, strict=True):
        sizes: dict[str, int] = {}
        for declared in inputs:
            for axis in declared.free.values():
                sizes.setdefault(axis, batch if axis == BATCH else length + len(sizes))
        made.append((sizes, {each.name: each.random(sizes, generator) for each in inputs}))
    return made


def answer(source: Source, feeds: Feeds, what: str) -> Feeds:
    """The framework's answer. Raises LabFailure where it has none."""
    try:
        answers = source.run(feeds)
    except LabFailure:
        raise
    except Exception as error:  # each framework raises errors of its own
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in feeds.items())
        raise LabFailure(
            f"the {source.kind} itself fails on {what} ({shapes}): {str(error).strip()[-300:]}\n"
            "Give sizes that it takes (--input), or a request that it answers (--sample)."
        ) from error
    if not answers:
        raise LabFailure(f"the {source.kind} gives no tensors")
    for name, array in answers.items():
        if protocol_datatype(array) is None:
            raise LabFailure(f"output '{name}' is {array.dtype}; only numbers and booleans are served")
    return answers


def golden_of(feeds: Feeds, answers: Feeds) -> tuple[Feeds, Feeds]:
    """Two rows of a request with their answers where tensors are rows, else all of it."""
    arrays = [*feeds.values(), *answers.values()]
    counts = {array.shape[:1] for array in arrays}
    if len(counts) != 1 or () in counts:
        return feeds, answers
    return _cut(feeds), _cut(answers)


def _cut(tensors: Mapping[str, Array]) -> Feeds:
    return {name: array[:_GOLDEN_ROWS] for name, array in tensors.items()}
