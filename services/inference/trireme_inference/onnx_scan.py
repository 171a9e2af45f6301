"""Where an ONNX file says its weights lie, read from the wire format, so that a hostile path is refused
before the runtime opens the model.

ONNX keeps large tensors in files beside the model: a TensorProto with `external_data`, a list of
key-value pairs with `location`, `offset` and `length`. The walk below follows only the fields that
can hold a tensor and jumps over all others, raw weights included, so its cost is the number of
nodes. Field numbers: onnx/onnx.proto of ONNX 1.16 to 1.23.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from trireme_common.errors import SpecError

_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_MAX_DEPTH = 64
_KEY, _VALUE = 1, 2
_MAX_NUMBER = 1 << 63


class _Malformed(Exception):
    """Not protobuf."""


def check_external_data(model: Path) -> int:
    """Bytes of all `weight_files`, which says what it raises."""
    return sum(file.stat().st_size for file in weight_files(model))


def weight_files(model: Path) -> set[Path]:
    """The ONNX file `model` and the files beside it that hold its weights.

    Raises SpecError where it names weights outside its own directory, through a link, or beyond the end of
    their file; or where it is not protobuf at all.
    """
    root = model.parent.resolve()
    if not model.resolve().is_relative_to(root):
        raise SpecError(f"{model}: a link that leads out of the version's directory")
    if model.stat().st_size == 0:
        raise SpecError(f"{model}: the file is empty")
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        view = memoryview(data)
        files = {model}
        try:
            for entries in _tensors(view, 0, len(view), "model", 0):
                files.update(_check_entries(model, root, entries))
        except _Malformed as error:
            raise SpecError(f"{model}: not a whole ONNX file ({error})") from error
        finally:
            view.release()
    return files


def _check_entries(model: Path, root: Path, entries: list[tuple[list[str], list[str]]]) -> Iterator[Path]:
    """The files that the entries name."""
    # Protobuf keeps the last value of a field given twice; here each of them must be harmless.
    values = {key: found for keys, found in entries for key in keys}
    numbers = {key: max(map(_number, values.get(key, [])), default=0) for key in ("offset", "length")}
    for keys, locations in entries:
        for location in locations if "location" in keys else ():
            path = _safe(model, root, location)
            if numbers["offset"] + numbers["length"] > path.stat().st_size:
                raise SpecError(f"{model}: external data of {location!r} reaches beyond the end of the file")
            yield path


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else _MAX_NUMBER


def _safe(model: Path, root: Path, location: str) -> Path:
    if not location or "\0" in location or "\\" in location or location.startswith("/"):
        raise SpecError(f"{model}: external data at {location!r}; only files beside the model are read")
    parts = location.split("/")
    if ".." in parts:
        raise SpecError(f"{model}: external data at {location!r} leads out of the version's directory")
    path = root
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise SpecError(f"{model}: external data at {location!r} is a symbolic link")
    if not path.is_file():
        raise SpecError(f"{model}: external data at {location!r} is missing")
    if path.stat().st_nlink > 1:
        raise SpecError(
            f"{model}: external data at {location!r} has several names (a hard link); copy the file"
        )
    return path


def _tensors(
    data: memoryview, start: int, end: int, kind: str, depth: int
) -> Iterator[list[tuple[list[str], list[str]]]]:
    """For every tensor with external data, its entries as (keys, values)."""
    if depth > _MAX_DEPTH:
        raise _Malformed("nested too deeply")
    children = _CHILDREN[kind]
    entries = []
    for number, inner, stop in _fields(data, start, end):
        child = children.get(number)
        if child == "entry":
            entries.append(_entry(data, inner, stop))
        elif child is not None:
            yield from _tensors(data, inner, stop, child, depth + 1)
    if entries:
        yield entries


def _entry(data: memoryview, start: int, end: int) -> tuple[list[str], list[str]]:
    texts: dict[int, list[str]] = {_KEY: [], _VALUE: []}
    for number, inner, stop in _fields(data, start, end):
        if number in texts:
            texts[number].append(bytes(data[inner:stop]).decode("utf-8", "surrogateescape"))
    return texts[_KEY], texts[_VALUE]


def _fields(data: memoryview, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of every length-delimited field."""
    while position < end:
        tag, position = _varint(data, position, end)
        # Protobuf's own parsers cut a tag off at 32 bits.
        tag &= 0xFFFFFFFF
        wire = tag & 7
        if wire == 2:
            size, position = _varint(data, position, end)
            if size > end - position:
                raise _Malformed("a field reaches beyond the end")
            yield tag >> 3, position, position + size
            position += size
        elif wire == 0:
            _, position = _varint(data, position, end)
        elif wire in (1, 5):
            position += 8 if wire == 1 else 4
        else:
            raise _Malformed(f"wire type {wire}")
    if position != end:
        raise _Malformed("a field reaches beyond the end")


def _varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _Malformed("a number without an end")
