"""What a person or a log reader sees of a download: a line now and then, or a bar on a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import structlog

from trireme_common.remote.failure import Kind

logger = structlog.get_logger(__name__)
LOG_SECONDS = 10.0
_BAR_SECONDS = 0.2
_REMIND_SECONDS = 0.5
_BAR_WIDTH = 30


class Progress:
    """Counts, and calls `show(self)` at most every `seconds` while bytes arrive. Thread-safe."""

    def __init__(
        self,
        show: Callable[[Progress], None],
        seconds: float = LOG_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show
        self._seconds = seconds
        self._clock = clock
        self._shown = clock()
        self._shown_bytes = 0
        self.bytes_per_second = 0.0
        """Downloaded since it was shown before."""
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
            due = self._due()
        if due:
            self._show(self)

    def remind(self) -> None:
        """Shows it if it is time, although nothing arrived: a download that stands still is news."""
        with self._lock:
            due = self._due()
        if due:
            self._show(self)

    def _due(self) -> bool:
        now = self._clock()
        passed = now - self._shown
        if passed < self._seconds:
            return False
        self.bytes_per_second = (self.bytes_received - self._shown_bytes) / passed if passed else 0.0
        self._shown, self._shown_bytes = now, self.bytes_received
        return True

    @property
    def part(self) -> float:
        """How much is here of all that is to be brought, as far as that is known; from 0 to 1."""
        return min((self.bytes_received + self.bytes_reused) / self.size, 1.0) if self.size else 0.0

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
        percent=round(progress.part * 100, 1),
        bytes_per_second=round(progress.bytes_per_second),
    )


def bar(stream: TextIO) -> Callable[[Progress], None]:
    """A bar that redraws itself on a terminal."""

    def draw(progress: Progress) -> None:
        have = progress.bytes_received + progress.bytes_reused
        filled = round(progress.part * _BAR_WIDTH)
        mebibytes = f"{have / 2**20:,.1f}/{progress.size / 2**20:,.1f} MiB"
        files = f"{progress.files_done}/{progress.files} files"
        drawn = f"[{'=' * filled}{' ' * (_BAR_WIDTH - filled)}]"
        stream.write(f"\r\x1b[2K{drawn} {progress.part:4.0%} {mebibytes}, {files}")
        stream.flush()

    return draw


def for_stream(stream: TextIO, line: Callable[[Progress], None], seconds: float = LOG_SECONDS) -> Progress:
    """A bar where `stream` is a terminal, else `line` every so many seconds."""
    if stream.isatty():
        return Progress(bar(stream), _BAR_SECONDS)
    return Progress(line, seconds)


@contextmanager
def reminded(progress: Progress, seconds: float = _REMIND_SECONDS) -> Iterator[None]:
    """Looks whether `progress` is to be shown, in a thread, until the end of the block."""
    over = threading.Event()

    def remind() -> None:
        while not over.wait(seconds):
            progress.remind()

    thread = threading.Thread(target=remind, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
