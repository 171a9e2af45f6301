"""The port through which the scheduler says what it does; metrics.py counts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from trireme_common.errors import Code
from trireme_inference.batch_policy import CloseReason
from trireme_inference.requests import Answer


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch that came back from the device. Requests and rows count good answers alone."""

    reason: CloseReason
    batch_rows: int
    """Rows with which the batch was closed."""
    requests: int
    rows: int
    oldest_wait_seconds: float
    queue_seconds: float
    """Sum over the requests."""
    total_seconds: float
    """From arrival to answer, summed over the requests."""
    compute_seconds: float
    answers: Sequence[Answer] = ()
    """All of them, good and bad, not yet delivered."""


class Observer(Protocol):
    """Called on the event loop, once a batch and once for the failures of one kind."""

    def batch(self, report: BatchReport) -> None: ...

    def failures(self, code: Code, count: int) -> None: ...


class Silent:
    """Observes nothing."""

    def batch(self, report: BatchReport) -> None: ...

    def failures(self, code: Code, count: int) -> None: ...
