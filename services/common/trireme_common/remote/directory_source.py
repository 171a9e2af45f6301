"""A repository in another directory: a network share, or a volume that is slower than the cache."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.source import Content, RemoteFile

_BLOCK = 1024 * 1024


class DirectorySource:
    """`file:///path`. Symbolic links are not followed; hidden files and directories are passed over."""

    def __init__(self, directory: Path) -> None:
        self.name = f"file://{directory}"
        self._directory = directory

    def list_files(self) -> Sequence[RemoteFile]:
        if not self._directory.is_dir():
            raise SourceError(Kind.UNREACHABLE, f"{self._directory} is not a directory")
        return sorted(self._walk(), key=lambda file: file.path)

    def open(self, file: RemoteFile, offset: int) -> Content:
        path = self._directory / file.path
        try:
            if _identity(path.lstat()) != file.identity:
                raise SourceError(Kind.CHANGED, f"{file.path}: changed since it was listed")
            return Content(offset, _blocks(path, offset))
        except FileNotFoundError as error:
            raise SourceError(Kind.CHANGED, f"{file.path}: gone since it was listed") from error

    def _walk(self) -> Iterator[RemoteFile]:
        for folder, folders, names in os.walk(self._directory, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                path = Path(folder, name)
                if not name.startswith(".") and path.is_file() and not path.is_symlink():
                    stat = path.stat()
                    yield RemoteFile(
                        path.relative_to(self._directory).as_posix(), stat.st_size, _identity(stat)
                    )


def _identity(stat: os.stat_result) -> str:
    return f"{stat.st_ino:x}-{stat.st_size:x}-{stat.st_mtime_ns:x}"


def _blocks(path: Path, offset: int) -> Generator[bytes, None, None]:
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_BLOCK):
            yield block


def _raise(error: OSError) -> None:
    raise SourceError(Kind.UNREACHABLE, f"cannot be listed: {error.strerror}") from error
