"""One file of the source into one file of the staging area, continued wherever it was left."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from trireme_common.remote.failure import Kind, SourceError, Stopped
from trireme_common.remote.source import RemoteFile, Source
from trireme_common.remote.telemetry import Telemetry

_BLOCK = 1024 * 1024
_ATTEMPTS = 6
_FIRST_PAUSE_SECONDS = 0.25
_LAST_PAUSE_SECONDS = 10.0
_FRUITFUL_BYTES = 16 * 1024
_SLOW_SECONDS = 60.0
_SLOW_BYTES_PER_SECOND = 1024


class Downloader:
    """Fetches files, each with several attempts that continue one another; six that bring it no further than
    any before are its end.

    `stop` ends a download between two blocks. A source that gives less than 1 KiB/s over a minute is
    given up. Pauses between attempts double from a quarter second to ten, with full jitter.
    """

    def __init__(
        self,
        source: Source,
        telemetry: Telemetry,
        stop: threading.Event,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """`wait` pauses for so many seconds, or until stopped, and says whether it was stopped."""
        self._wait = wait or stop.wait
        self._source = source
        self._telemetry = telemetry
        self._stop = stop
        self._clock = clock

    def fetch(self, file: RemoteFile, target: Path) -> None:
        """Makes `target` whole and verified. Raises SourceError, or Stopped."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self._telemetry.reused(_size(target, file))
        for last in (False, True):
            self._fill(file, target)
            if self._verify(file, target):
                _sync(target)
                self._telemetry.finished_file()
                return
            # What an earlier process left may be bad, what a whole download brings may not.
            target.unlink()
            if last:
                break
        raise SourceError(Kind.CORRUPT, f"{file.path}: SHA-256 is not the one that the source lists")

    def take(self, file: RemoteFile, mine: Path, target: Path) -> None:
        """Makes `target` of a file that the cache holds already; fetches it where that is gone by now."""
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            try:
                os.link(mine, target)
            except FileNotFoundError:
                raise
            except OSError:  # a file system without hard links
                shutil.copy2(mine, target)
        self.fetch(file, target)

    def _fill(self, file: RemoteFile, target: Path) -> None:
        # From a source that cannot continue, a later attempt may bring less than one before it did.
        fruitless, furthest = 0, _size(target, file)
        while (have := _size(target, file)) < file.size or not target.exists():
            try:
                self._attempt(file, target, have)
            except SourceError as error:
                if not error.transient:
                    raise
                gained = _size(target, file) - furthest
                fruitless = 0 if gained >= _FRUITFUL_BYTES else fruitless + 1
                furthest += max(gained, 0)
                if fruitless >= _ATTEMPTS:
                    raise
                pause = min(_FIRST_PAUSE_SECONDS * 2**fruitless, _LAST_PAUSE_SECONDS)
                if self._wait(random.uniform(0, pause)):
                    raise Stopped from error

    def _attempt(self, file: RemoteFile, target: Path, have: int) -> None:
        if file.size == 0:
            target.touch()
            return
        content = self._source.open(file, have)
        started, received = self._clock(), 0
        with closing(content.blocks), target.open("r+b" if target.exists() else "wb") as out:
            out.seek(content.offset)
            out.truncate()
            for block in content.blocks:
                if self._stop.is_set():
                    raise Stopped
                received += len(block)
                if content.offset + received > file.size:
                    raise SourceError(Kind.CHANGED, f"{file.path}: longer than the {file.size} bytes listed")
                out.write(block)
                self._telemetry.received(len(block))
                seconds = self._clock() - started
                if seconds > _SLOW_SECONDS and received < seconds * _SLOW_BYTES_PER_SECOND:
                    raise SourceError(Kind.UNREACHABLE, f"{file.path}: the source is too slow")
        if content.offset + received < file.size:
            raise SourceError(Kind.UNREACHABLE, f"{file.path}: the connection ended early")

    def _verify(self, file: RemoteFile, target: Path) -> bool:
        if file.sha256 is None:
            return True
        digest = hashlib.sha256()
        with target.open("rb") as content:
            while block := content.read(_BLOCK):
                if self._stop.is_set():
                    raise Stopped
                digest.update(block)
        return digest.hexdigest() == file.sha256


def _size(target: Path, file: RemoteFile) -> int:
    """Bytes of an earlier attempt; one that is longer than the file begins again."""
    with suppress(FileNotFoundError):
        have = target.stat().st_size
        if have <= file.size:
            return have
        target.unlink()
    return 0


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
