"""Triton's statistics of a model version: how many requests, how they ended, where their time went.

The meanings are those of Triton's statistics extension: what a request waited and what its run took count
once for every request, so a run over five requests counts five times its length; `batches` count runs.
Counts grow from the service's start on, over every load of the version. Written on the event loop, read
from any thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from trireme_common.errors import Code
from trireme_inference.observer import BatchReport, Served
from trireme_inference.requests import RunTimes


class Reason(StrEnum):
    """Triton's reasons for which a request fails."""

    REJECTED = "REJECTED"
    """It could not be scheduled: the queue was full, or its time was up in it."""
    CANCELED = "CANCELED"
    """Its caller left."""
    BACKEND = "BACKEND"
    """The model failed on it."""
    OTHER = "OTHER"


_REASONS: Mapping[Code, Reason] = {
    Code.OVERLOADED: Reason.REJECTED,
    Code.DEADLINE_EXCEEDED: Reason.REJECTED,
    Code.CANCELLED: Reason.CANCELED,
    Code.MODEL_FAILED: Reason.BACKEND,
    Code.INPUT_QUARANTINED: Reason.BACKEND,
}


def reason_of(code: Code) -> Reason:
    """Triton's reason for a failure of ours."""
    return _REASONS.get(code, Reason.OTHER)


@dataclass(slots=True)
class Times:
    """What runs took, in seconds."""

    input_seconds: float = 0.0
    infer_seconds: float = 0.0
    output_seconds: float = 0.0


@dataclass(slots=True)
class BatchCounts(Times):
    """Runs of one number of rows."""

    count: int = 0


@dataclass(slots=True)
class VersionStatistics:
    """Counters of one model version. `clock`: seconds since the epoch."""

    clock: Callable[[], float] = time.time
    successes: int = 0
    """Requests that were answered well."""
    success_seconds: float = 0.0
    """From arrival to answer, summed over them; so are the next two."""
    queue_seconds: float = 0.0
    compute: Times = field(default_factory=Times)
    inferences: int = 0
    """Rows of good answers."""
    executions: int = 0
    """Runs that went well."""
    batches: dict[int, BatchCounts] = field(default_factory=dict)
    """By their rows."""
    last_inference: float = 0.0
    """When the last run ended, in seconds since the epoch; 0 before the first."""
    failures: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    fail_seconds: float = 0.0
    """From arrival to the error, summed over the requests."""

    @property
    def failed(self) -> int:
        """Requests that were answered with an error."""
        return sum(self.failures.values())

    def batch(self, report: BatchReport) -> None:
        """Counts a batch: its runs, and the requests that it answered."""
        self.served(report.served)
        self.inferences += report.rows
        for run in report.runs:
            self._ran(run)

    def served(self, served: Served) -> None:
        """Counts requests that were answered well."""
        self.successes += served.requests
        self.success_seconds += served.total_seconds
        self.queue_seconds += served.queue_seconds
        compute = self.compute
        compute.input_seconds += served.input_seconds
        compute.infer_seconds += served.infer_seconds
        compute.output_seconds += served.output_seconds

    def failures_of(self, code: Code, count: int, seconds: float) -> None:
        """Counts `count` requests that failed, which took `seconds` together."""
        self.failures[reason_of(code)] += count
        self.fail_seconds += seconds

    def _ran(self, run: RunTimes) -> None:
        self.executions += 1
        self.last_inference = self.clock()
        counts = self.batches.get(run.rows)
        if counts is None:
            # A new dictionary: another thread may be reading the old one.
            counts = BatchCounts()
            self.batches = {**self.batches, run.rows: counts}
        counts.count += 1
        counts.input_seconds += run.input_seconds
        counts.infer_seconds += run.infer_seconds
        counts.output_seconds += run.output_seconds


class Statistics:
    """Those of every version that was ever loaded."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str], VersionStatistics] = {}

    def of(self, model: str, version: str) -> VersionStatistics:
        """Those of one version, from now on."""
        return self._versions.setdefault((model, version), VersionStatistics())

    def all(self) -> dict[tuple[str, str], VersionStatistics]:
        """By model and version."""
        return dict(self._versions)
