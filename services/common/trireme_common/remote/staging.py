"""Groups of files on their way: each group in a directory whose name tells exactly what it will hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trireme_common.remote.cache import Cache
from trireme_common.remote.download import Downloader
from trireme_common.remote.failure import Kind, SourceError
from trireme_common.remote.pool import Pool
from trireme_common.remote.source import RemoteFile
from trireme_common.remote.telemetry import Telemetry


@dataclass(frozen=True)
class Staged:
    """A group whose files are being brought."""

    directory: Path
    files: Mapping[RemoteFile, Path]
    futures: Sequence[Future[None]]

    def wait(self) -> None:
        """Returns when every file is whole. Raises what the first that is not was refused with."""
        failure: BaseException | None = None
        for future in self.futures:
            failure = future.exception() or failure
        if isinstance(failure, OSError):
            raise SourceError(Kind.DISK, f"the cache: {failure.strerror}") from failure
        if failure is not None:
            raise failure


class Staging:
    """Begins groups; the same group, asked for again after a restart, goes on where it was left."""

    def __init__(self, cache: Cache, downloader: Downloader, telemetry: Telemetry, pool: Pool) -> None:
        self._cache = cache
        self._downloader = downloader
        self._telemetry = telemetry
        self._pool = pool
        self._keys: set[str] = set()

    def begin(self, place: str, files: Sequence[RemoteFile]) -> Staged:
        """Queues the downloads of `files`, all of them under `place` (`<model>` or `<model>/<version>`)."""
        key = _key(place, files)
        self._keys.add(key)
        directory = self._cache.staging / key
        paths = {file: directory / file.path.removeprefix(f"{place}/") for file in files}
        self._telemetry.planned(len(files), sum(file.size for file in files))
        futures = []
        for file, path in paths.items():
            mine = self._cache.find(file)
            task = (
                partial(self._downloader.fetch, file, path)
                if mine is None
                else partial(self._downloader.take, file, mine, path)
            )
            futures.append(self._pool.submit(task))
        return Staged(directory, paths, futures)

    def prune(self) -> None:
        """Deletes groups that nobody asked for in this pass."""
        self._cache.prune(self._keys)


def _key(place: str, files: Sequence[RemoteFile]) -> str:
    digest = hashlib.blake2b(place.encode(), digest_size=12)
    for file in files:
        digest.update(f"\0{file.path}\0{file.size}\0{file.identity}".encode())
    return digest.hexdigest()
