"""Finished spans to an OpenTelemetry collector, over OTLP/gRPC.

A bounded queue and a thread of its own stand between requests and the collector: one that is down
costs spans, never a request, memory or more than one line of the log.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence

import structlog
from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags
from prometheus_client import Counter

from trireme_common import __version__
from trireme_common.shown_url import shown_url
from trireme_common.tracing import Span, SpanKind, TraceParent

logger = structlog.get_logger(__name__)

_EXPORT_SECONDS = 3.0
_PAUSE_SECONDS = 10.0
_FLUSH_SECONDS = 3.0
_GIVE_UP_SECONDS = 1.0

DROPPED = Counter("trireme_trace_spans_dropped", "Spans that the collector did not take.")

_KINDS = {
    SpanKind.SERVER: otel.SpanKind.SERVER,
    SpanKind.CLIENT: otel.SpanKind.CLIENT,
    SpanKind.INTERNAL: otel.SpanKind.INTERNAL,
}
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_UNSET = Status(StatusCode.UNSET)


class OtelExport:
    """Takes the finished spans of one process. `record` never blocks and may be called in any thread."""

    def __init__(self, service: str, endpoint: str, exporter: SpanExporter | None = None) -> None:
        """`endpoint` is the collector's http:// (plain) or https:// URL; its port is that of OTLP/gRPC."""
        _quieten()
        self._resource = Resource.create(
            {
                "service.name": f"trireme-{service}",
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            }
        )
        self._exporter = exporter or OTLPSpanExporter(endpoint, timeout=_EXPORT_SECONDS)
        self._processor = BatchSpanProcessor(PatientExporter(self._exporter, endpoint))
        self._flushing = threading.Lock()
        self._flush_wanted = False

    def record(self, span: Span) -> None:
        self._processor.on_end(_readable(span, self._resource))

    def flush(self) -> None:
        """Has what is queued sent now, by a thread: never more than one at a time."""
        self._flush_wanted = True
        if self._flushing.acquire(blocking=False):
            threading.Thread(target=self._flush, name="traces-flush", daemon=True).start()

    def _flush(self) -> None:
        try:
            while self._flush_wanted:
                self._flush_wanted = False
                self._processor.force_flush()
        finally:
            self._flushing.release()

    def close(self) -> None:
        """Sends what is queued; gives up after a few seconds, whatever the collector does. Blocks."""
        ending = threading.Thread(target=self._processor.shutdown, name="traces-flush", daemon=True)
        ending.start()
        ending.join(_FLUSH_SECONDS)
        if ending.is_alive():
            self._exporter.shutdown()  # ends the call under way
            ending.join(_GIVE_UP_SECONDS)


class PatientExporter(SpanExporter):
    """Leaves a collector that failed alone for a while, dropping spans, and says so once."""

    def __init__(
        self, exporter: SpanExporter, endpoint: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._exporter = exporter
        self._shown = shown_url(endpoint)
        self._clock = clock
        self._failing = False
        self._not_before = 0.0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        if self._clock() >= self._not_before:
            try:
                result = self._exporter.export(spans)
            except Exception as error:  # a span that cannot be encoded must not end the thread
                logger.error("traces_failed", kind=type(error).__name__)
            self._tell(result is not SpanExportResult.SUCCESS)
        if result is not SpanExportResult.SUCCESS:
            DROPPED.inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def _tell(self, failing: bool) -> None:
        if failing:
            self._not_before = self._clock() + _PAUSE_SECONDS
        if failing and not self._failing:
            logger.warning("traces_not_exported", endpoint=self._shown, retry_in_seconds=_PAUSE_SECONDS)
        elif self._failing and not failing:
            logger.info("traces_exported_again", endpoint=self._shown)
        self._failing = failing


def _quieten() -> None:
    """The SDK writes a line for every span it drops and every try it makes; ours says it once."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)


def _readable(span: Span, resource: Resource) -> ReadableSpan:
    """The span as the SDK exports it. Made directly rather than by the SDK's tracer, which would have
    to know of the span from its start and costs a request ten times as much."""
    attributes = span.attributes
    if span.error:
        attributes["error.type"] = span.error
    return ReadableSpan(
        span.name,
        _context(span.place, remote=False),
        None if span.parent is None else _context(span.parent, remote=span.kind is SpanKind.SERVER),
        resource,
        attributes,
        [Event(event.name, event.attributes, event.at) for event in span.events],
        [Link(_context(place, remote=True)) for place in span.links],
        _KINDS[span.kind],
        status=Status(StatusCode.ERROR, span.error) if span.error else _UNSET,
        start_time=span.started,
        end_time=span.ended,
    )


def _context(place: TraceParent, *, remote: bool) -> SpanContext:
    return SpanContext(place.trace_id, place.span_id, remote, _SAMPLED if place.sampled else None)
