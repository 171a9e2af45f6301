"""The cache directory: the repository that stages scan, and beside it what only the mirror knows.

    <into>/<model>/...                    whole models and versions, nothing else
    <into>/.trireme/lock                  held by the one process that mirrors
    <into>/.trireme/state.json            which files came from the source, and their identities
    <into>/.trireme/staging/<key>/...     versions that are not whole yet; survives a restart
    <into>/.trireme/trash/                on its way out

Nothing that did not come from the source is ever replaced or removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from trireme_common.remote.cache_state import CacheState, FileRecord, read_state, write_state
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.plan import Install, Installed, InstalledFile, VersionKey
from trireme_common.remote.source import RemoteFile

PRIVATE = ".trireme"


class Cache:
    """One cache directory. Everything but `lock`, `filled` and `populated` needs the lock."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._private = directory / PRIVATE
        self.staging = self._private / "staging"
        self._trash = self._private / "trash"
        self._state_path = self._private / "state.json"
        self._state = CacheState()
        self._installed: Mapping[str, InstalledFile] = {}

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Whether this process is the one that mirrors; the kernel lets go when it ends, however it does."""
        self._private.mkdir(parents=True, exist_ok=True)
        with (self._private / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def filled(self) -> bool:
        """Whether some pass, of any process, has come to its end, and a version stands here."""
        return read_state(self._state_path).filled and self.populated()

    def populated(self) -> bool:
        """Whether any version stands here."""
        return any(self.directory.glob("[!._]*/[0-9]*/"))

    def load(self) -> Installed:
        """What came from the source and still stands here as it was put."""
        self._state = read_state(self._state_path)
        shutil.rmtree(self._trash, ignore_errors=True)
        installed = self._state.installed(self.directory)
        self._installed = installed.files
        return installed

    def save(self) -> None:
        """Writes the state, in one step."""
        write_state(self._state_path, self._state)

    def touch(self, needed: Iterator[VersionKey], now: float) -> None:
        """Remembers that versions are needed now."""
        self._state.used.update({f"{name}/{version}": now for name, version in needed})

    def mark_filled(self) -> None:
        """Remembers, for other processes and for the next start, that what stands here may be served."""
        if self.populated() and not self._state.filled:
            self._state.filled = True
            self.save()

    def size(self) -> int:
        """Bytes of everything here that came from the source."""
        return self._state.size()

    def find(self, file: RemoteFile) -> Path | None:
        """An installed file with this content: at the same path, or anywhere if the identity is a digest."""
        for path, mine in self._installed.items():
            same_place = path == file.path or file.sha256 is not None
            if same_place and (mine.identity, mine.size) == (file.identity, file.size):
                return self.directory / path
        return None

    def check_free(self, model: str, version: int | None, shared: Sequence[RemoteFile]) -> None:
        """Raises SourceError(CONFLICT) where somebody else's files stand in the place of a model's."""
        places = [model, *(file.path for file in shared)]
        if version is not None:
            places.append(f"{model}/{version}")
        for place in places:
            if (self.directory / place).exists() and not self._state.owns(place):
                raise SourceError(
                    Kind.CONFLICT,
                    f"{place} stands in {self.directory} but did not come from the source; move it away",
                )

    def install(self, install: Install, staged: Path, shared: Mapping[RemoteFile, Path]) -> None:
        """Moves whole files into place: a new model in one step, else its shared files, then its version.

        `staged` holds the version's files, `shared` the changed shared files. What is about to stand here is
        recorded first: after a crash in between, the files' times tell which of the two is there.
        """
        self.check_free(install.model, install.version, list(shared))
        self._record(shared)
        if install.version is not None:
            place = f"{install.model}/{install.version}"
            used = self._state.used.get(place)
            self._state.forget(place)
            self._record({file: staged / file.path.removeprefix(f"{place}/") for file in install.files})
            if used is not None:
                self._state.used[place] = used
        self.save()
        home = self.directory / install.model
        build = home if home.exists() else self._private / "incoming"
        if build != home:
            shutil.rmtree(build, ignore_errors=True)
        for file, path in shared.items():
            _move(path, build / file.path.partition("/")[2])
        if install.version is not None:
            self._discard(build / str(install.version))
            _move(staged, build / str(install.version))
        if build != home:
            _move(build, home)

    def remove(self, key: VersionKey) -> None:
        """Takes a version out of sight in one step and deletes it; a model goes with its last version."""
        place = f"{key[0]}/{key[1]}"
        self._state.forget(place)
        self._discard(self.directory / place)
        home = self.directory / key[0]
        left = [path.name for path in home.iterdir()] if home.is_dir() else []
        if not any(name.isdigit() for name in left) and all(
            self._state.owns(f"{key[0]}/{name}") for name in left
        ):
            self._state.forget(key[0])
            self._discard(home)
        self.save()

    def remove_file(self, path: str) -> None:
        """Removes a shared file that the source no longer has."""
        if self._state.owns(path):
            self._state.forget(path)
            (self.directory / path).unlink(missing_ok=True)
            self.save()

    def prune(self, keep: set[str]) -> None:
        """Deletes what was begun for versions that are no longer asked for, and the trash."""
        for path in self.staging.iterdir() if self.staging.is_dir() else ():
            if path.name not in keep:
                shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self._trash, ignore_errors=True)

    def _record(self, files: Mapping[RemoteFile, Path]) -> None:
        for file, path in files.items():
            self._state.files[file.path] = FileRecord(
                identity=file.identity, size=file.size, mtime_ns=path.stat().st_mtime_ns
            )

    def _discard(self, path: Path) -> None:
        """Out of sight in one step; the bytes go later."""
        if path.exists():
            _move(path, self._trash / uuid.uuid4().hex)


def _move(path: Path, target: Path) -> None:
    """Renames within the file system and makes the new name durable."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
