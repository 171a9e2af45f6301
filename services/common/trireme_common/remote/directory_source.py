"""A repository in another directory: a network share, or a volume that is slower than the cache."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from trireme_common.remote.catalog import version_of
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.source import Content, RemoteFile

_BLOCK = 1024 * 1024


class DirectorySource:
    """`file:///path`. Hidden files and directories are passed over.

    Symbolic links are refused, as they may lead anywhere: a file that is one cannot be opened, so that its
    version fails; a model or version whose directory is one refuses the listing. Other linked directories,
    such as `latest`, are no versions and are passed over.
    """

    def __init__(self, directory: Path) -> None:
        self.name = f"file://{directory}"
        self._directory = directory

    def list_files(self) -> Sequence[RemoteFile]:
        if not self._directory.is_dir():
            raise SourceError(Kind.UNREACHABLE, f"{self._directory} is not a directory")
        return sorted(self._walk(), key=lambda file: file.path)

    def open(self, file: RemoteFile, offset: int) -> Content:
        path = self._directory / file.path
        check_no_link(path, file.path)
        try:
            if _identity(path.lstat()) != file.identity:
                raise SourceError(Kind.CHANGED, f"{file.path}: changed since it was listed")
            return Content(offset, _blocks(path, offset))
        except FileNotFoundError as error:
            raise SourceError(Kind.CHANGED, f"{file.path}: gone since it was listed") from error

    def _walk(self) -> Iterator[RemoteFile]:
        for folder, folders, names in os.walk(self._directory, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            linked = [name for name in folders if Path(folder, name).is_symlink()]
            for path in (Path(folder, name) for name in (*names, *linked) if not name.startswith(".")):
                if path.is_symlink() and self._is_passed_over(path):
                    continue
                if path.is_symlink() or path.is_file():
                    stat = path.lstat()
                    yield RemoteFile(self._relative(path), stat.st_size, _identity(stat))

    def _is_passed_over(self, path: Path) -> bool:
        """Whether a link stands where no model, version or file of one does. Raises SourceError for one in
        place of a model's or a version's directory."""
        parts = path.relative_to(self._directory).parts
        in_version = version_of("/".join((*parts, ""))) is not None
        is_model = len(parts) == 1 and path.is_dir() and not parts[0].startswith("_")
        if is_model or (in_version and len(parts) == 2):
            check_no_link(path, self._relative(path))
        return len(parts) == 1 or (path.is_dir() and not in_version)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._directory).as_posix()


def check_no_link(path: Path, name: str) -> None:
    """Raises SourceError(REFUSED) where `path`, called `name`, is a symbolic link."""
    if path.is_symlink():
        raise SourceError(Kind.REFUSED, f"{name} is a symbolic link; put the file or directory itself there")


def _identity(stat: os.stat_result) -> str:
    return f"{stat.st_ino:x}-{stat.st_size:x}-{stat.st_mtime_ns:x}"


def _blocks(path: Path, offset: int) -> Generator[bytes, None, None]:
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(_BLOCK):
            yield block


def _raise(error: OSError) -> None:
    raise SourceError(Kind.UNREACHABLE, f"cannot be listed: {error.strerror}") from error
