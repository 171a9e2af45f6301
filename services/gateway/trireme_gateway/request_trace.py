"""The spans of the gateway: one for a request as its caller sees it, one below it for each hop.

Names and attributes follow OpenTelemetry's conventions for HTTP and RPC, but for `url.path`, which is
left out as it is from the log: a caller may have written anything into it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from trireme_common.errors import Code, TriremeError
from trireme_common.tracing import Span, SpanKind, TraceParent, Tracer
from trireme_gateway.context import RequestContext
from trireme_gateway.hop.ports import HopItem, Key

TRACEPARENT = "traceparent"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_SERVER_FAULTS = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Statuses of gRPC that are the server's own failure; the others are what a caller did."""


class RequestSpan(Span):
    """The span of a request that is decided about when its model is known; until then it keeps what it is
    told, and its children are not to be made."""

    __slots__ = ("_decide", "model")

    def __init__(
        self,
        record: Callable[[Span], None],
        name: str,
        kind: SpanKind,
        place: TraceParent,
        parent: TraceParent | None,
        decide: Callable[[str, int], bool],
    ) -> None:
        """`decide` is given the model, empty where the request asks none, and the trace's id."""
        super().__init__(record, name, kind, place, parent, time.time_ns())
        self._decide: Callable[[str, int], bool] | None = decide
        self.model = ""

    def settle(self, model: str) -> None:
        """The request asks `model`, or has ended; the first word counts."""
        if self._decide is not None:
            self.model = model
            self.place = self.place._replace(sampled=self._decide(model, self.place.trace_id))
            self._decide = None


def begin(tracer: Tracer, traceparent: str) -> Span | None:
    """The span of a request, below the caller's where a valid `traceparent` came with it."""
    return tracer.start("request", SpanKind.SERVER, TraceParent.parse(traceparent))


def end_http(span: Span, context: RequestContext, method: str, scheme: str, status: int) -> None:
    """The answer has left, or nobody waits for it any more."""
    method = method if method in _METHODS else "_OTHER"
    name = "HTTP" if method == "_OTHER" else method
    matched = context.endpoint.startswith("/")
    span.name = f"{name} {context.endpoint}" if matched else name
    span.note({"http.request.method": method, "url.scheme": scheme, "http.response.status_code": status})
    if matched:
        span.note({"http.route": context.endpoint})
    _end(span, context, str(status), failed=status >= 400, server_fault=status >= 500)


def end_grpc(span: Span, context: RequestContext, status: str) -> None:
    """As `end_http`; `status` is the name of the code."""
    span.name = context.endpoint.lstrip("/")
    span.note({"rpc.system.name": "grpc", "rpc.method": span.name, "rpc.response.status_code": status})
    _end(span, context, status, failed=status != "OK", server_fault=status in _SERVER_FAULTS)


def _end(span: Span, context: RequestContext, status: str, *, failed: bool, server_fault: bool) -> None:
    if isinstance(span, RequestSpan):
        span.settle(context.model)
    span.note({"trireme.request_id": context.request_id})
    if context.model:
        span.note(
            {
                "trireme.model": context.model,
                "trireme.version": context.version,
                "trireme.items": context.items,
                "trireme.failed": context.failed,
                "trireme.cache": context.cache,
            }
        )
    error = "" if not failed else status if context.error is None else context.error.value
    if error and not server_fault:
        span.note({"error.type": error})  # what a caller did wrong is no failure of the span
    span.end(error if server_fault else "")


class HopSpans:
    """The spans of one request's hops, below which the stages' spans stand: each from the first item that is
    sent to the last that is answered."""

    def __init__(self, request: Span, key: Key) -> None:
        self._request = request
        self._key = key
        self._open: dict[str, _HopSpan] = {}

    @classmethod
    def below(cls, request: Span, key: Key, items: Sequence[HopItem]) -> HopSpans | None:
        """None where the trace is not recorded; its id reaches the stages all the same, for their log."""
        if isinstance(request, RequestSpan):
            request.settle(key[0])
        if request.place.sampled:
            return cls(request, key)
        traceparent = request.traceparent
        for item in items:
            item.traceparent = traceparent
        return None

    def sent(self, stage: str) -> str:
        """An item leaves for a stage; returns the place of its spans there."""
        found = self._open.get(stage)
        if found is None:
            span = self._request.child(f"call {stage}", SpanKind.CLIENT)
            model, version = self._key
            span.note({"trireme.stage": stage, "trireme.model": model, "trireme.version": version})
            found = self._open[stage] = _HopSpan(span)
        found.items += 1
        found.remaining += 1
        return found.span.traceparent

    def answered(self, stage: str, item: HopItem) -> None:
        """An item has its outcome."""
        found = self._open[stage]
        found.take(item)
        if not found.remaining:
            del self._open[stage]
            found.end()

    def end(self, failure: BaseException) -> None:
        """Nobody waits for an answer any more."""
        for found in self._open.values():
            found.span.end(_code_of(failure))
        self._open.clear()


class _HopSpan:
    """One span, and what its items say."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.items = 0
        self.remaining = 0
        self._codes: list[str] = []
        self._queue_us = 0
        self._compute_us = 0

    def take(self, item: HopItem) -> None:
        self.remaining -= 1
        self._queue_us = max(self._queue_us, item.queue_us)
        self._compute_us = max(self._compute_us, item.compute_us)
        if isinstance(item.outcome, TriremeError):
            self._codes.append(item.outcome.code.value)

    def end(self) -> None:
        """Every item has its outcome; the span has the code of the first that failed."""
        self.span.note(
            {
                "trireme.items": self.items,
                "trireme.failed": len(self._codes),
                "trireme.queue_ms": self._queue_us / 1000,
                "trireme.compute_ms": self._compute_us / 1000,
            }
        )
        self.span.end(self._codes[0] if self._codes else "")


def _code_of(failure: BaseException) -> str:
    if isinstance(failure, TriremeError):
        return failure.code.value
    return Code.CANCELLED.value if isinstance(failure, asyncio.CancelledError) else type(failure).__name__
