"""The port through which the scheduler says what it does; metrics.py counts it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from trireme_common.errors import Code
from trireme_inference.batch_policy import CloseReason
from trireme_inference.batch_queue import Batch
from trireme_inference.requests import Answer, Request, RunTimes


class Served(NamedTuple):
    """Requests that were answered well. Seconds are summed over them: five requests that share a run of one
    second have computed for five."""

    requests: int = 0
    queue_seconds: float = 0.0
    total_seconds: float = 0.0
    """From arrival to answer."""
    input_seconds: float = 0.0
    infer_seconds: float = 0.0
    output_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class BatchReport:
    """One batch that came back from the device."""

    reason: CloseReason
    batch_rows: int
    """Rows with which the batch was closed."""
    served: Served
    """Without slices of longer requests, which are told by `Observer.served` when they are whole."""
    rows: int
    """Of good answers, slices included."""
    oldest_wait_seconds: float
    compute_seconds: float
    runs: Iterable[RunTimes] = ()
    """Those that went well: one, or several where the batch was taken apart."""
    answers: Sequence[Answer] = ()
    """All of them, good and bad, not yet delivered."""


class Observer(Protocol):
    """Called on the event loop, once a batch and once for the failures of one kind."""

    def batch(self, report: BatchReport) -> None: ...

    def served(self, served: Served) -> None:
        """A request that was longer than a batch was answered well."""

    def failures(self, code: Code, count: int, seconds: float) -> None:
        """`count` requests failed, `seconds` after they arrived, summed over them."""


class Silent:
    """Observes nothing."""

    def batch(self, report: BatchReport) -> None: ...

    def served(self, served: Served) -> None: ...

    def failures(self, code: Code, count: int, seconds: float) -> None: ...


def served_by(answers: Sequence[Answer], now: float) -> Served:
    """The sum over good answers that are about to be delivered. `now`: seconds of the monotonic clock."""
    if not answers:
        return Served()
    count = len(answers)
    runs = [answer.run for answer in answers]
    waited = sum([answer.queue_seconds for answer in answers])
    total = count * now - sum([answer.request.arrived for answer in answers])
    run = runs[0]
    if run is not None and runs.count(run) == count:  # one run for all, as nearly always
        computed = count * run.input_seconds, count * run.infer_seconds, count * run.output_seconds
        return Served(count, waited, total, *computed)
    known = [run for run in runs if run is not None]
    return Served(
        count,
        waited,
        total,
        sum([run.input_seconds for run in known]),
        sum([run.infer_seconds for run in known]),
        sum([run.output_seconds for run in known]),
    )


def report_of(batch: Batch[Request], answers: Sequence[Answer], now: float, *, cut: bool) -> BatchReport:
    """What there is to tell of a batch, whose `answers`, one or more, are about to be delivered.

    `cut`: whether there may be slices of longer requests among them. `now`: seconds of the monotonic clock.
    """
    good = [answer for answer in answers if answer.error is None and not answer.request.answered]
    whole = [answer for answer in good if not answer.request.part] if cut else good
    complete = len(good) == len(batch.requests)
    return BatchReport(
        reason=batch.reason,
        batch_rows=batch.rows,
        served=served_by(whole, now),
        rows=batch.rows if complete else sum([answer.request.rows for answer in good]),
        oldest_wait_seconds=answers[0].queue_seconds,
        compute_seconds=answers[0].compute_seconds,
        runs=dict.fromkeys([answer.run for answer in answers if answer.run is not None]),
        answers=answers,
    )
