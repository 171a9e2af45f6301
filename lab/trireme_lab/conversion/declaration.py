"""What a model takes and gives, with names for the axes that are free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trireme_common.tensors import Array, datatype_of, dtype_of
from trireme_lab.failure import LabFailure, LabUsage

Feeds = dict[str, Array]
Axis = int | str

BATCH = "batch"
FORM = "NAME:DATATYPE:[SHAPE] or NAME:DATATYPE:[SHAPE]:LOW..HIGH"
_TEXT = re.compile(
    r"(?P<name>[^:]+):(?P<datatype>\w+):\[(?P<shape>[^\]]*)\](:(?P<low>-?\d+)\.\.(?P<high>-?\d+))?"
)
_AXIS_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class Declared:
    """An input or output. A number among `axes` is a fixed size, a name a free one; equal names have
    equal sizes. Random integers for it lie in `low`..`high`."""

    name: str
    datatype: str
    axes: tuple[Axis, ...]
    low: int = 0
    high: int = 9

    @property
    def shape(self) -> tuple[int, ...]:
        """As model.yaml says it: -1 where the size is free."""
        return tuple(axis if isinstance(axis, int) else -1 for axis in self.axes)

    @property
    def free(self) -> dict[int, str]:
        """Names of the free axes by their position."""
        return {at: axis for at, axis in enumerate(self.axes) if isinstance(axis, str)}

    def random(self, sizes: Mapping[str, int], generator: np.random.Generator) -> Array:
        """Standard normal floats, or integers of its range."""
        shape = tuple(sizes[axis] if isinstance(axis, str) else axis for axis in self.axes)
        dtype = dtype_of(self.datatype)
        if dtype is None or self.datatype == "BF16":
            raise LabFailure(f"input '{self.name}': no random {self.datatype}; give a --sample file")
        if dtype.kind == "f":
            return generator.standard_normal(shape).astype(dtype)
        if dtype.kind == "b":
            return generator.integers(0, 2, shape).astype(dtype)
        return generator.integers(self.low, self.high + 1, shape).astype(dtype)


def parse(text: str) -> Declared:
    """An input as people declare it: `image:FP32:[-1,3,224,224]`, `ids:INT64:[batch,tokens]:0..999`. -1 is
    a free size, of the name `batch` on the first axis and `axis<k>` on the others. Raises LabUsage."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise LabUsage(f"input {text!r} is not of the form {FORM}")
    if dtype_of(found["datatype"]) is None:
        raise LabUsage(
            f"input {text!r}: unknown datatype {found['datatype']!r}, for example FP32, INT64, UINT8"
        )
    parts = [part.strip() for part in found["shape"].split(",") if part.strip()]
    axes = tuple(_axis(text, at, part) for at, part in enumerate(parts))
    low, high = (int(found["low"]), int(found["high"])) if found["low"] else _range(found["datatype"])
    if low > high:
        raise LabUsage(f"input {text!r}: the range {low}..{high} is empty")
    return Declared(found["name"], found["datatype"], axes, low, high)


def protocol_datatype(array: Array) -> str | None:
    """The protocol's name for the elements of an array; None for text, complex numbers and such."""
    try:
        return datatype_of(array.dtype)
    except KeyError:
        return None


def of_sample(feeds: Mapping[str, Array]) -> tuple[Declared, ...]:
    """Inputs as a sample shows them: the first axis free, the others of the size they have there.
    All of them have a `protocol_datatype`."""
    return tuple(
        Declared(name, datatype_of(array.dtype), (BATCH, *array.shape[1:]), *_range(datatype_of(array.dtype)))
        for name, array in feeds.items()
    )


def check_sample(inputs: Sequence[Declared], feeds: Mapping[str, Array]) -> Feeds:
    """The sample in the order of the inputs. Raises LabUsage where it does not fit them."""
    names = [declared.name for declared in inputs]
    if set(names) != set(feeds):
        raise LabUsage(f"the sample holds {', '.join(feeds)}; the model takes {', '.join(names)}")
    for declared in inputs:
        array = feeds[declared.name]
        fits = array.ndim == len(declared.axes) and all(
            want in (-1, have) for want, have in zip(declared.shape, array.shape, strict=True)
        )
        if not fits or datatype_of(array.dtype) != declared.datatype:
            raise LabUsage(
                f"the sample's '{declared.name}' is {datatype_of(array.dtype)} {list(array.shape)}; "
                f"declared is {declared.datatype} {list(declared.shape)}"
            )
    return {name: feeds[name] for name in names}


def outputs_of(runs: Sequence[tuple[Mapping[str, int], Feeds]]) -> tuple[Declared, ...]:
    """Outputs as several runs showed them, each with the sizes of the inputs' free axes: an axis whose
    size changed is free, and bears the name of the input's axis that changed in the same way."""
    _, first = runs[0]
    return tuple(
        Declared(name, datatype_of(array.dtype), tuple(_output_axes(name, array.ndim, runs)))
        for name, array in first.items()
    )


def _output_axes(name: str, count: int, runs: Sequence[tuple[Mapping[str, int], Feeds]]) -> Iterable[Axis]:
    for at in range(count):
        seen = [answers[name].shape[at] for _, answers in runs]
        if len(set(seen)) == 1:
            yield seen[0]
            continue
        alike = [axis for axis in runs[0][0] if [sizes[axis] for sizes, _ in runs] == seen]
        yield alike[0] if alike else f"{name}_{at}"


def _axis(text: str, at: int, part: str) -> Axis:
    if part == "-1":
        return BATCH if at == 0 else f"axis{at}"
    if _AXIS_NAME.fullmatch(part):
        return part
    if part.isascii() and part.isdigit() and int(part) > 0:
        return int(part)
    raise LabUsage(f"input {text!r}: {part!r} is neither a size, nor -1, nor a name")


def _range(datatype: str) -> tuple[int, int]:
    return (0, 255) if datatype == "UINT8" else (0, 9)
