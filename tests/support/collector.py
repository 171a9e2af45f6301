"""An OpenTelemetry collector in this process: takes what services export and hands it to a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2


@dataclass(frozen=True)
class CollectedSpan:
    """One exported span; ids are hexadecimal, `parent_id` is empty for a root."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    attributes: dict[str, Any]
    events: dict[str, dict[str, Any]]
    links: frozenset[str]
    """Span ids."""
    failed: bool
    seconds: float


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Remembers every span."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[CollectedSpan] = []
        self._lock = threading.Lock()

    def Export(self, request: Any, context: Any) -> Any:  # the name that OTLP gives the call
        found = [
            _collected(_values(resource.resource.attributes)["service.name"], span)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self.spans += found
        return trace_service_pb2.ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> list[CollectedSpan]:
        with self._lock:
            return [span for span in self.spans if span.trace_id == trace_id]

    def wait(self, condition: Callable[[list[CollectedSpan]], bool], seconds: float = 30) -> None:
        """Until what was collected fulfils `condition`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with self._lock:
                if condition(self.spans):
                    return
            time.sleep(0.05)
        raise AssertionError(f"not collected in time; there is {[span.name for span in self.spans]}")


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port of this machine."""
    servicer = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(servicer, server)
    servicer.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield servicer
    finally:
        server.stop(0).wait()


def _collected(service: str, span: trace_pb2.Span) -> CollectedSpan:
    return CollectedSpan(
        service,
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        _values(span.attributes),
        {event.name: _values(event.attributes) for event in span.events},
        frozenset(link.span_id.hex() for link in span.links),
        span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
    )


def _values(attributes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in attributes:
        value: common_pb2.AnyValue = pair.value
        found[pair.key] = getattr(value, value.WhichOneof("value") or "string_value")
    return found
