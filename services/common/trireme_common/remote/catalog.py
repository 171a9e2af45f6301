"""A listing, judged as a whole before anything is written: a hostile or odd one is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.source import RemoteFile

_SHOWN = 80


@dataclass(frozen=True)
class Limits:
    """What a listing may hold at most. The defaults are far above any sensible repository."""

    files: int = 20_000
    file_bytes: int = 256 * 1024**3
    path_bytes: int = 1024
    segment_bytes: int = 240
    depth: int = 16


@dataclass(frozen=True)
class RemoteModel:
    """The files of one model."""

    name: str
    shared: tuple[RemoteFile, ...]
    """Those outside the version directories: model.yaml, golden.json."""
    versions: Mapping[int, tuple[RemoteFile, ...]] = field(default_factory=dict)


def read_catalog(files: Sequence[RemoteFile], limits: Limits) -> dict[str, RemoteModel]:
    """The models of a listing. Raises SourceError(REFUSED) for the whole of it where one entry is bad.

    Passed over: files beside the models, directories whose name begins with `.` or `_`, models without a
    version, and the empty objects that some tools write in place of directories.
    """
    if len(files) > limits.files:
        raise SourceError(Kind.REFUSED, f"the source lists more than {limits.files} files")
    for file in files:
        _check(file, limits)
    kept = _without_markers(files)
    models: dict[str, list[RemoteFile]] = {}
    for file in kept:
        name, _, rest = file.path.partition("/")
        if rest and not name.startswith((".", "_")):
            models.setdefault(name, []).append(file)
    read = (_model(name, entries) for name, entries in sorted(models.items()))
    return {model.name: model for model in read if model.versions}


def version_of(path: str) -> int | None:
    """The version that a path belongs to; None for a file that all versions share."""
    parts = path.split("/")
    number = parts[1] if len(parts) > 2 else ""
    if number.isascii() and number.isdigit() and str(int(number[:18])) == number:
        return int(number)
    return None


def _model(name: str, files: Iterable[RemoteFile]) -> RemoteModel:
    shared: list[RemoteFile] = []
    versions: dict[int, list[RemoteFile]] = {}
    for file in sorted(files, key=lambda file: file.path):
        version = version_of(file.path)
        (shared if version is None else versions.setdefault(version, [])).append(file)
    return RemoteModel(name, tuple(shared), {number: tuple(entries) for number, entries in versions.items()})


def _check(file: RemoteFile, limits: Limits) -> None:
    shown = repr(file.path[:_SHOWN])
    try:
        encoded = file.path.encode()
    except UnicodeEncodeError as error:
        raise SourceError(Kind.REFUSED, f"{shown}: a name that is not UTF-8") from error
    segments = file.path.split("/")
    if len(encoded) > limits.path_bytes or len(segments) > limits.depth:
        raise SourceError(Kind.REFUSED, f"{shown}...: a name that is too long or too deep")
    if any(segment in ("", ".", "..") for segment in segments):
        raise SourceError(Kind.REFUSED, f"{shown}: a name that leaves the repository or has empty parts")
    if any(len(segment.encode()) > limits.segment_bytes for segment in segments):
        raise SourceError(Kind.REFUSED, f"{shown}...: a part of the name is too long")
    if "\\" in file.path or any(ord(character) < 32 or ord(character) == 127 for character in file.path):
        raise SourceError(Kind.REFUSED, f"{shown}: a backslash or a control character in the name")
    if not 0 <= file.size <= limits.file_bytes:
        raise SourceError(Kind.REFUSED, f"{shown}: {file.size} bytes, the limit is {limits.file_bytes}")
    if not file.identity:
        raise SourceError(Kind.REFUSED, f"{shown}: neither an ETag nor a digest, changes could not be seen")


def _without_markers(files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """Leaves out empty objects that stand for a directory; refuses a name that is file and directory."""
    paths: set[str] = set()
    folders: set[str] = set()
    for file in files:
        if file.path in paths:
            raise SourceError(Kind.REFUSED, f"{file.path[:_SHOWN]!r}: listed twice")
        paths.add(file.path)
        parts = file.path.split("/")
        folders.update("/".join(parts[:count]) for count in range(1, len(parts)))
    for file in files:
        if file.path in folders and file.size:
            raise SourceError(Kind.REFUSED, f"{file.path[:_SHOWN]!r}: both a file and a directory")
    return [file for file in files if file.path not in folders]
