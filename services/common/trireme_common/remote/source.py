"""The port of a source: a listing, and the bytes of a file from some offset on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class RemoteFile:
    """One file of the repository, as the source lists it."""

    path: str
    """Relative, with `/`: `<model>/model.yaml`, `<model>/<version>/model.onnx`."""
    size: int
    """Bytes."""
    identity: str
    """Changes whenever the content does: an ETag, or `sha256:<hex>` where the source tells the digest."""

    @property
    def sha256(self) -> str | None:
        """The digest of the content in hexadecimal, where the source tells it."""
        algorithm, _, value = self.identity.partition(":")
        return value if algorithm == "sha256" else None


@dataclass(frozen=True)
class Content:
    """The bytes of a file from `offset` on; `offset` is 0 where the source cannot continue a download."""

    offset: int
    blocks: Generator[bytes | memoryview, None, None]


class Source(Protocol):
    """Where a repository lies. Every method raises SourceError; all may be called from any thread."""

    @property
    def name(self) -> str:
        """The URL, for logs."""

    def list_files(self) -> Sequence[RemoteFile]:
        """Every file; names are not to be trusted before `read_catalog` has seen them."""

    def open(self, file: RemoteFile, offset: int) -> Content:
        """The content from `offset` on. SourceError(CHANGED) where it is no longer what was listed."""
