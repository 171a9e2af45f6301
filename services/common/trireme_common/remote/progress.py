"""What a person or a log reader sees of a download: a line now and then, or a bar on a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TextIO

import structlog

from trireme_common.remote.failure import Kind

logger = structlog.get_logger(__name__)
_LOG_SECONDS = 10.0
_BAR_SECONDS = 0.2
_BAR_WIDTH = 30


class Progress:
    """Counts, and calls `show(self)` at most every `seconds` while bytes arrive. Thread-safe."""

    def __init__(
        self,
        show: Callable[[Progress], None],
        seconds: float = _LOG_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show
        self._seconds = seconds
        self._clock = clock
        self._shown = clock()
        self._lock = threading.Lock()
        self.files = self.files_done = 0
        self.size = self.bytes_received = self.bytes_reused = 0
        self.failures = 0

    def planned(self, files: int, size: int) -> None:
        with self._lock:
            self.files += files
            self.size += size

    def received(self, size: int) -> None:
        with self._lock:
            self.bytes_received += size
            due = self._clock() - self._shown >= self._seconds
            if due:
                self._shown = self._clock()
        if due:
            self._show(self)

    def reused(self, size: int) -> None:
        with self._lock:
            self.bytes_reused += size

    def finished_file(self) -> None:
        with self._lock:
            self.files_done += 1

    def failed(self, kind: Kind) -> None:
        with self._lock:
            self.failures += 1

    def passed(self, seconds: float, cache_bytes: int, *, reached: bool) -> None:
        """Counts of the next pass begin at nothing."""


def log_progress(progress: Progress) -> None:
    """A line of the log."""
    logger.info(
        "models_source_progress",
        files=progress.files_done,
        files_total=progress.files,
        bytes=progress.bytes_received + progress.bytes_reused,
        bytes_total=progress.size,
    )


def bar(stream: TextIO) -> Callable[[Progress], None]:
    """A bar that redraws itself on a terminal."""

    def draw(progress: Progress) -> None:
        have = progress.bytes_received + progress.bytes_reused
        part = min(have / progress.size, 1.0) if progress.size else 1.0
        filled = round(part * _BAR_WIDTH)
        mebibytes = f"{have / 2**20:,.1f}/{progress.size / 2**20:,.1f} MiB"
        files = f"{progress.files_done}/{progress.files} files"
        stream.write(
            f"\r\x1b[2K[{'=' * filled}{' ' * (_BAR_WIDTH - filled)}] {part:4.0%} {mebibytes}, {files}"
        )
        stream.flush()

    return draw


def for_stream(stream: TextIO, line: Callable[[Progress], None]) -> Progress:
    """A bar where `stream` is a terminal, else `line` every ten seconds."""
    if stream.isatty():
        return Progress(bar(stream), _BAR_SECONDS)
    return Progress(line)
