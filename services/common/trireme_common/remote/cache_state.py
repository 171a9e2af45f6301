"""What the mirror remembers between passes and restarts: `<into>/.trireme/state.json`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from trireme_common.remote.plan import Installed, InstalledFile, VersionKey

Place = Annotated[str, Field(pattern=r"^[^/]+/[0-9]{1,18}$")]
"""`<model>/<version>`."""


class FileRecord(BaseModel):
    """A file that was put into the cache."""

    identity: str
    size: int
    mtime_ns: int
    """Of the file as it was put there: one that was edited since is fetched again."""


class CacheState(BaseModel):
    """Records by relative path, and when versions were last needed, in Unix seconds."""

    filled: bool = False
    """Whether some pass has come to its end and left something to serve."""
    files: dict[str, FileRecord] = {}
    used: dict[Place, float] = {}

    def installed(self, directory: Path) -> Installed:
        """The records whose files stand in `directory` as they were put there."""
        standing = {
            path: InstalledFile(record.identity, record.size)
            for path, record in self.files.items()
            if _stands(directory / path, record)
        }
        return Installed(standing, {_key(place): at for place, at in self.used.items()})

    def owns(self, place: str) -> bool:
        """Whether the file or directory `place` came from the source."""
        return place in self.files or any(path.startswith(f"{place}/") for path in self.files)

    def forget(self, place: str) -> None:
        """Drops the records of a file or of everything in a directory."""
        prefix = f"{place}/"
        self.files = {
            path: record
            for path, record in self.files.items()
            if path != place and not path.startswith(prefix)
        }
        self.used.pop(place, None)

    def size(self) -> int:
        """Bytes of everything that was put here."""
        return sum(record.size for record in self.files.values())


def read_state(path: Path) -> CacheState:
    """The state that `path` holds; an empty one where it is missing or unreadable."""
    try:
        return CacheState.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return CacheState()


def write_state(path: Path, state: CacheState) -> None:
    """Replaces `path` in one step."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(state.model_dump_json().encode())
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _stands(path: Path, record: FileRecord) -> bool:
    try:
        stat = path.lstat()
    except OSError:
        return False
    return stat.st_size == record.size and stat.st_mtime_ns == record.mtime_ns


def _key(place: str) -> VersionKey:
    name, _, version = place.partition("/")
    return name, int(version)
