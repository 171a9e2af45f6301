"""Worker processes for tests: one nursery for all, and counts that can be read."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable
from dataclasses import dataclass

from trireme_inference.isolation import Isolation
from trireme_inference.workers.worker_set import WorkerSet


@dataclass
class Counts:
    """Keeps what it is told."""

    crashes: int = 0
    restarts: int = 0
    refused: int = 0
    to_worker: int = 0
    from_worker: int = 0

    def crashed(self) -> None:
        self.crashes += 1

    def restarted(self) -> None:
        self.restarts += 1

    def quarantined(self, count: int) -> None:
        self.refused += count

    def carried(self, to_worker: int, from_worker: int) -> None:
        self.to_worker += to_worker
        self.from_worker += from_worker


class CountsByVersion:
    """A WorkerTelemetry."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], Counts] = {}

    def counts(self, model: str, version: str) -> Counts:
        return self.of.setdefault((model, version), Counts())

    def watch(self, model: str, version: str, workers: WorkerSet) -> Callable[[], None]:
        return lambda: None


@functools.cache
def shared_isolation() -> Isolation:
    """One for the whole run of the tests: starting its nursery takes half a second."""
    isolation = Isolation(CountsByVersion())
    atexit.register(isolation.close)
    return isolation
