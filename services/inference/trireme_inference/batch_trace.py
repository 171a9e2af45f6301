"""The span of a batch: below the oldest traced request that it served, and linked with all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trireme_common.errors import Code
from trireme_common.tracing import Span, wall_ns
from trireme_inference.loader import Telemetry
from trireme_inference.observer import BatchReport, Observer, Served
from trireme_inference.requests import Answer
from trireme_inference.tuning import Curve


class TracedTelemetry:
    """Telemetry that records a span a batch beside what `inner` counts."""

    def __init__(self, inner: Telemetry) -> None:
        self._inner = inner

    def observer(self, model: str, version: str) -> Observer:
        return TracedObserver(self._inner.observer(model, version), model, version)

    def watch_pending(self, model: str, version: str, pending: Callable[[], int]) -> Callable[[], None]:
        return self._inner.watch_pending(model, version, pending)

    def show_curve(self, model: str, version: str, curve: Curve) -> Callable[[], None]:
        return self._inner.show_curve(model, version, curve)


class TracedObserver:
    """Observer of one model version."""

    def __init__(self, inner: Observer, model: str, version: str) -> None:
        self._inner = inner
        self._labels = {"trireme.model": model, "trireme.version": version}

    def batch(self, report: BatchReport) -> None:
        self._inner.batch(report)
        # One span covers all the items that a request sent together.
        members = [*dict.fromkeys(found for answer in report.answers if (found := answer.request.span))]
        members = [member for member in members if member.place.sampled]
        if members:
            self._record(report, members)

    def served(self, served: Served) -> None:
        self._inner.served(served)

    def failures(self, code: Code, count: int, seconds: float) -> None:
        self._inner.failures(code, count, seconds)

    def _record(self, report: BatchReport, members: Sequence[Span]) -> None:
        begun = min(answer.request.arrived + answer.queue_seconds for answer in report.answers)
        ended = max(map(_ended, report.answers))
        span = members[0].child("inference.batch", started=wall_ns(begun))
        span.note(
            {
                **self._labels,
                "trireme.batch.rows": report.batch_rows,
                "trireme.batch.requests": len(members),
                "trireme.batch.reason": report.reason.value,
                "trireme.batch.oldest_wait_ms": report.oldest_wait_seconds * 1000,
            }
        )
        for member in members:
            span.link(member.place)
            member.link(span.place)
        codes = [answer.error.code.value for answer in report.answers if answer.error is not None]
        span.end(codes[0] if codes else "", wall_ns(ended))


def _ended(answer: Answer) -> float:
    return answer.request.arrived + answer.queue_seconds + answer.compute_seconds
