"""The gateway's tracer, whose decisions follow the trace settings while it runs."""

from __future__ import annotations

import random
from collections.abc import Callable

import structlog

from trireme_common.tracing import Recorder, RecordingTracer, Span, SpanKind, TraceParent
from trireme_gateway.extensions.sampling import Sampler
from trireme_gateway.extensions.trace_settings import TraceSettings
from trireme_gateway.request_trace import RequestSpan

logger = structlog.get_logger(__name__)


class SettingsTracer:
    """Traces as the settings say, into `recorder`.

    As long as nobody has changed them a request is decided about when it arrives; after that when its
    model is known, so that each model can have its own settings.
    """

    __slots__ = ("_at_arrival", "_plain", "_recorder", "_sampler", "enabled")

    def __init__(self, recorder: Recorder, settings: TraceSettings, sampler: Sampler) -> None:
        self._recorder = recorder
        self._sampler = sampler
        self._at_arrival = RecordingTracer(recorder.record, settings.ratio)
        self.apply(settings)

    def apply(self, settings: TraceSettings) -> None:
        """Goes by other settings from now on; traces that have begun keep their decision."""
        self._sampler.apply(settings)
        self.enabled = settings.any_on
        self._plain = settings.untouched

    def start(self, name: str, kind: SpanKind, parent: TraceParent | None) -> Span | None:
        if self._plain:
            return self._at_arrival.start(name, kind, parent)
        if parent is not None and not parent.sampled:  # the caller decided against it
            return self._at_arrival.start(name, kind, parent)
        trace_id = parent.trace_id if parent is not None else random.getrandbits(128) or 1
        place = TraceParent(trace_id, random.getrandbits(64) or 1, sampled=True)
        return RequestSpan(self._record, name, kind, place, parent, self._decider(parent is not None))

    def _decider(self, asked: bool) -> Callable[[str, int], bool]:
        return lambda model, trace_id: self._sampler.wants(model, trace_id, asked=asked)

    def _record(self, span: Span) -> None:
        self._recorder.record(span)
        if isinstance(span, RequestSpan) and self._sampler.collected(span.model):
            self._recorder.flush()


class LogRecorder:
    """Writes finished spans into the gateway's log: where traces go while no collector is named."""

    def record(self, span: Span) -> None:
        logger.info(
            "span",
            name=span.name,
            kind=span.kind.value,
            trace_id=f"{span.place.trace_id:032x}",
            span_id=f"{span.place.span_id:016x}",
            parent_id=f"{span.parent.span_id:016x}" if span.parent is not None else None,
            start_ns=span.started,
            duration_ms=round((span.ended - span.started) / 1e6, 3),
            error=span.error or None,
            attributes=span.attributes,
            events=[{"name": event.name, "at_ns": event.at, **event.attributes} for event in span.events],
        )

    def flush(self) -> None:
        """Lines wait for nothing."""
