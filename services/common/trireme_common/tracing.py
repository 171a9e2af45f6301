"""Traces: a port with a form that records nothing and one that hands finished spans to a recorder.

A span here is a plain record: ids are drawn when it starts, and it is handed on once, when it ends.
Nothing is "current" behind the scenes, because the work of one request runs in several tasks and
the work of several requests in one. `otel_export.py` is the recorder that speaks OpenTelemetry.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import NamedTuple, Protocol

from trireme_common.settings import ServiceSettings

Attributes = Mapping[str, str | int | float | bool]

# As OpenTelemetry's SDKs bound them by default.
_MAX_LINKS = 128
_MAX_EVENTS = 128
_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


class SpanKind(StrEnum):
    """Which side of a call a span is on."""

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


class TraceParent(NamedTuple):
    """A place in a trace, as the W3C header `traceparent` says it."""

    trace_id: int
    span_id: int
    sampled: bool

    @classmethod
    def parse(cls, header: str) -> TraceParent | None:
        """None for anything but a valid header; of a later version the known part is read."""
        found = _TRACEPARENT.fullmatch(header) if header else None
        if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
            return None
        trace_id, span_id = int(found[2], 16), int(found[3], 16)
        return cls(trace_id, span_id, bool(int(found[4], 16) & 1)) if trace_id and span_id else None

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled:02x}"


class Event(NamedTuple):
    """Something that happened during a span; `at` is in nanoseconds since the epoch."""

    name: str
    at: int
    attributes: Attributes


class Span:
    """One piece of work. Where its trace is not sampled it has ids and keeps nothing else.

    Attributes and events never hold what a caller sent: sizes, names, times and codes alone.
    """

    __slots__ = (
        "_record", "attributes", "ended", "error", "events", "kind", "links", "name", "parent", "place",
        "started",
    )  # fmt: skip

    def __init__(
        self,
        record: Callable[[Span], None],
        name: str,
        kind: SpanKind,
        place: TraceParent,
        parent: TraceParent | None,
        started: int,
    ) -> None:
        self._record = record
        self.name = name
        self.kind = kind
        self.place = place
        self.parent = parent
        self.started = started
        """Nanoseconds since the epoch, as `ended`."""
        self.ended = 0
        self.error = ""
        """Code of the failure; empty where the work went well."""
        self.attributes: dict[str, str | int | float | bool] = {}
        self.links: list[TraceParent] = []
        self.events: list[Event] = []

    @property
    def traceparent(self) -> str:
        """The header for work that this span asks others to do."""
        return str(self.place)

    def child(self, name: str, kind: SpanKind = SpanKind.INTERNAL, started: int = 0) -> Span:
        """A span of the same trace below this one, which may have ended already."""
        return _span(self._record, name, kind, self.place.trace_id, self.place.sampled, self.place, started)

    def note(self, attributes: Attributes) -> None:
        if self.place.sampled:
            self.attributes.update(attributes)

    def event(self, name: str, attributes: Attributes) -> None:
        if self.place.sampled and len(self.events) < _MAX_EVENTS:
            self.events.append(Event(name, time.time_ns(), attributes))

    def link(self, other: TraceParent) -> None:
        """Ties this span to one that is not above it."""
        if self.place.sampled and len(self.links) < _MAX_LINKS:
            self.links.append(other)

    def end(self, error: str = "", ended: int = 0) -> None:
        """Hands the span on, once; `error` is the code of what went wrong."""
        if self.place.sampled and not self.ended:
            self.error = error
            self.ended = max(ended or time.time_ns(), self.started)
            self._record(self)


def _span(
    record: Callable[[Span], None],
    name: str,
    kind: SpanKind,
    trace_id: int,
    sampled: bool,
    parent: TraceParent | None,
    started: int,
) -> Span:
    place = TraceParent(trace_id, random.getrandbits(64) or 1, sampled)
    return Span(record, name, kind, place, parent, started or time.time_ns())


class Tracer(Protocol):
    """Starts the spans that enter a service."""

    @property
    def enabled(self) -> bool:
        """False where `start` never gives a span; asked first, so that tracing that is off costs nothing."""

    def start(self, name: str, kind: SpanKind, parent: TraceParent | None) -> Span | None:
        """A span below `parent`, or the first of a new trace."""


class NoTracer:
    """Traces nothing."""

    enabled = False

    def start(self, name: str, kind: SpanKind, parent: TraceParent | None) -> Span | None:
        return None


NO_TRACER = NoTracer()


class RecordingTracer:
    """Hands every finished span of a sampled trace to `record`, which must not block.

    Whoever begins a trace decides for all of it: a caller's decision stands, and of the traces begun
    here a part of `sample_ratio` is kept, chosen by the trace id as OpenTelemetry's own sampler does.
    """

    enabled = True

    def __init__(self, record: Callable[[Span], None], sample_ratio: float = 1.0) -> None:
        self._record = record
        self._bound = round(sample_ratio * 2**64)

    def start(self, name: str, kind: SpanKind, parent: TraceParent | None) -> Span | None:
        if parent is not None:
            return _span(self._record, name, kind, parent.trace_id, parent.sampled, parent, 0)
        trace_id = random.getrandbits(128) or 1
        return _span(self._record, name, kind, trace_id, trace_id % 2**64 < self._bound, None, 0)


def log_ids(span: Span | None) -> dict[str, str]:
    """The fields by which a log line is found from a trace, and the other way round."""
    if span is None:
        return {}
    return {"trace_id": f"{span.place.trace_id:032x}", "span_id": f"{span.place.span_id:016x}"}


def wall_ns(monotonic: float) -> int:
    """Nanoseconds since the epoch at a moment of this process's monotonic clock."""
    return time.time_ns() - int((time.monotonic() - monotonic) * 1e9)


class Recorder(Protocol):
    """Where finished spans go. Both may be called in any thread and never block."""

    def record(self, span: Span) -> None: ...

    def flush(self) -> None:
        """Has what waits sent now."""


@asynccontextmanager
async def open_recorder(service: str, settings: ServiceSettings) -> AsyncIterator[Recorder | None]:
    """The recorder that the settings ask for; what is unsent at the end is sent, for a bounded time.

    Open it before everything that makes spans, so that it closes after it.
    """
    if not settings.otel_exporter_endpoint:
        yield None
        return
    # OpenTelemetry's SDK is loaded here and nowhere else: a service that does not trace never pays for it.
    from trireme_common.otel_export import OtelExport

    export = OtelExport(service, settings.otel_exporter_endpoint)
    try:
        yield export
    finally:
        await asyncio.to_thread(export.close)


@asynccontextmanager
async def open_tracer(service: str, settings: ServiceSettings) -> AsyncIterator[Tracer]:
    """The tracer over `open_recorder`'s recorder, for a service whose callers decide what is traced."""
    async with open_recorder(service, settings) as recorder:
        if recorder is None:
            yield NO_TRACER
        else:
            yield RecordingTracer(recorder.record, settings.otel_sample_ratio)
