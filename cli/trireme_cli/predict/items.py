"""What is sent to a model: one item, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """Which input an item is: a path for a file that is one item, else a number from 1 on."""

    input: str | int
    file: str | None = None
    """The file whose line or row `input` is; None for an argument."""


@dataclass(frozen=True)
class TextItem:
    origin: Origin
    text: str


@dataclass(frozen=True)
class PictureItem:
    origin: Origin
    path: Path | None
    """Read when it is sent; None if `data` holds it already."""
    content_type: str
    data: bytes = b""

    def read(self) -> bytes:
        return self.data if self.path is None else self.path.read_bytes()


@dataclass(frozen=True)
class RowItem:
    origin: Origin
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class BadItem:
    """An item that cannot be sent; it fails alone, as it would at the server."""

    origin: Origin
    code: str
    detail: str


Item = TextItem | PictureItem | RowItem | BadItem
