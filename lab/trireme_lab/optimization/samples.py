"""What the variants are calibrated with and measured on: items as the model takes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trireme_common.errors import TriremeError
from trireme_common.repository import VersionFiles
from trireme_common.tensors import Array, Tensor
from trireme_inference.golden import Golden
from trireme_lab.export import from_v2
from trireme_lab.failure import LabFailure, LabUsage
from trireme_preprocess.preprocessor import Preprocessor, load

Feeds = dict[str, Array]

FEW = 100
"""Below so many items an agreement says little: one changed label is more than 1 %."""
_CALIBRATION_ITEMS = 500


@dataclass(frozen=True)
class SampleSet:
    """`items`: the model's inputs, one row each. `calibration` are those that static quantisation may
    learn its ranges from, `held_out` those that agreement is measured on."""

    items: tuple[Feeds, ...]
    origin: str
    own_calibration: bool

    @property
    def calibration(self) -> Sequence[Feeds]:
        """Every other item, 500 at most; all of them where there are too few to hold any back."""
        return self.items[::2][:_CALIBRATION_ITEMS] if self.own_calibration else self.items

    @property
    def held_out(self) -> Sequence[Feeds]:
        return self.items[1::2] if self.own_calibration else self.items


def of_golden(golden: Golden) -> SampleSet:
    """The rows of the golden request; the request as a whole where its tensors are no rows."""
    feeds = {tensor.name: tensor.array() for tensor in golden.request}
    return SampleSet(tuple(rows(feeds)), golden.path.name, own_calibration=False)


def rows(feeds: Feeds) -> list[Feeds]:
    """Tensors with a common first dimension as that many feeds of one row."""
    counts = {array.shape[:1] for array in feeds.values()}
    if len(counts) != 1 or () in counts:
        return [feeds]
    (count,) = counts.pop()
    return [{name: array[at : at + 1] for name, array in feeds.items()} for at in range(count)]


def of_file(path: Path, files: VersionFiles) -> SampleSet:
    """Items of a JSONL file, each as the platform would make it of that item: a string is a text or, for
    a model of pictures, the path of one beside the file; {"b64": ...} a picture itself; a list the
    numbers of a tabular model; {"inputs": [...]} the tensors of a v2 request. Raises LabUsage, or
    LabFailure where the model's own steps cannot be loaded."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabUsage(f"{path} cannot be read: {error}") from error
    try:
        preprocessor = load(files)
    except TriremeError as error:
        raise LabFailure(error.detail) from error
    steps = preprocessor if isinstance(preprocessor, Preprocessor) else None
    items: list[Feeds] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            items.extend(_item(json.loads(line), path.parent, files.spec.task, steps))
        except TriremeError as error:
            raise LabUsage(f"{path}, line {number}: {error.detail}") from error
        except (ValueError, KeyError, TypeError, OSError, ArithmeticError) as error:
            raise LabUsage(f"{path}, line {number}: no {files.spec.task} item: {error}") from error
    if len(items) < 2:
        raise LabUsage(f"{path} has {len(items)} items; half calibrate and half are measured: give 2 or more")
    return SampleSet(tuple(items), path.name, own_calibration=True)


def _item(value: Any, directory: Path, task: str, preprocessor: Preprocessor | None) -> list[Feeds]:
    if isinstance(value, dict) and "inputs" in value:
        return rows({tensor["name"]: from_v2(tensor) for tensor in value["inputs"]})
    if preprocessor is None:
        raise ValueError('give the tensors: {"inputs": [{"name", "shape", "datatype", "data"}]}')
    tensors = preprocessor(Tensor.of("item", _array(value, directory, task)))
    return [{tensor.name: tensor.array() for tensor in tensors}]


def _array(value: Any, directory: Path, task: str) -> Array:
    """The item as the first preprocess step's service takes it."""
    if task == "tabular":
        return np.array(value, np.float64)
    if task == "image-classification":
        data = base64.b64decode(value["b64"], validate=True) if isinstance(value, dict) else None
        content = (directory / value).read_bytes() if data is None else data
    elif isinstance(value, str):
        content = value.encode()
    else:
        raise ValueError("a text is expected")
    element = np.empty(1, dtype=object)
    element[0] = content
    return element
