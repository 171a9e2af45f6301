"""Files and directories as items: pictures, lines of text, JSON lines, tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from trireme_cli.failure import UsageFailure
from trireme_cli.predict.items import BadItem, Item, Origin, PictureItem, TextItem
from trireme_cli.predict.numbers import is_number, row

PICTURES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".gif": "image/gif",
}


def read_path(path: Path, task: str) -> Iterator[Item]:
    """Items of a file, or of the files of a directory, sorted. Raises UsageFailure.

    Of a directory with files of both kinds, those that suit the task are read.
    """
    if not path.is_dir():
        yield from _read_file(path)
        return
    files = [file for file in sorted(path.iterdir()) if file.is_file() and is_known(file)]
    if not files:
        raise UsageFailure(f"the directory {path} holds no file that can be sent; known: {_known()}")
    wants_pictures = task == "image-classification"
    suitable = [file for file in files if (file.suffix.lower() in PICTURES) == wants_pictures]
    for file in suitable or files:
        yield from _read_file(file)


def is_known(path: Path) -> bool:
    """Whether the name says what is in the file."""
    return path.suffix.lower() in PICTURES or path.suffix.lower() in _READERS


def _read_file(path: Path) -> Iterator[Item]:
    suffix = path.suffix.lower()
    if suffix in PICTURES:
        yield PictureItem(Origin(str(path)), path, PICTURES[suffix])
        return
    reader = _READERS.get(suffix)
    if reader is None:
        raise UsageFailure(
            f"{path}: its name does not say what it holds; known: {_known()}.\n"
            "--text sends the argument itself as a text."
        )
    try:
        yield from reader(path)
    except UnicodeDecodeError as error:
        raise UsageFailure(f"{path} is not UTF-8 text (byte {error.start}); convert it first") from error
    except OSError as error:
        raise UsageFailure(f"{path} cannot be read: {error.strerror}") from error
    except csv.Error as error:
        raise UsageFailure(f"{path} is no table that can be read: {error}") from error


def _texts(path: Path) -> Iterator[Item]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if text := line.strip():
                yield TextItem(Origin(number, str(path)), text)


def _json_lines(path: Path) -> Iterator[Item]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield json_item(Origin(number, str(path)), line)


def json_item(origin: Origin, line: str) -> Item:
    """A string is a text, a list is a row; an object holds either under `text` or `data`."""
    try:
        value: Any = json.loads(line)
    except ValueError as error:
        return BadItem(origin, "invalid_argument", f"not JSON: {error}")
    if isinstance(value, dict):
        value = value.get("text", value.get("data"))
    if isinstance(value, str):
        return TextItem(origin, value)
    if isinstance(value, list):
        return row(origin, value)
    return BadItem(
        origin,
        "invalid_argument",
        'neither a string, nor a list of numbers, nor {"text": ...} or {"data": [...]}',
    )


def _table(path: Path) -> Iterator[Item]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = (cells for cells in csv.reader(file) if cells)
        first = next(rows, None)
        if first is None:
            return
        header = not all(is_number(cell) for cell in first)
        names = [name.strip() for name in first] if header else []
        text_column = next((at for at, name in enumerate(names) if name.lower() == "text"), None)
        body = rows if header else chain([first], rows)
        for number, cells in enumerate(body, start=1):
            origin = Origin(number, str(path))
            yield row(origin, cells, names) if text_column is None else _text_cell(origin, cells, text_column)


def _text_cell(origin: Origin, cells: list[str], column: int) -> Item:
    if column >= len(cells):
        return BadItem(origin, "invalid_argument", f"the row has {len(cells)} columns and none for `text`")
    return TextItem(origin, cells[column])


_READERS: dict[str, Callable[[Path], Iterator[Item]]] = {
    ".txt": _texts,
    ".jsonl": _json_lines,
    ".csv": _table,
}


def _known() -> str:
    return ", ".join((*_READERS, *PICTURES))
