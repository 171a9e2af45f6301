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
from trireme_gateway.hop.ports import Hop, HopAnswer

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


async def traced_call(
    request: Span,
    stage: str,
    hop: Hop,
    model: str,
    version: str,
    payloads: Sequence[bytes],
    deadline: float,
    request_id: str,
    *,
    priority: int = 0,
) -> HopAnswer:
    """`hop.call` inside a span of its own, below which the stage's spans stand."""
    if isinstance(request, RequestSpan):
        request.settle(model)
    if not request.place.sampled:  # the stage still learns the trace's id, for its log
        return await hop.call(model, version, payloads, deadline, request_id, request.traceparent, priority)
    span = request.child(f"call {stage}", SpanKind.CLIENT)
    span.note({"trireme.stage": stage, "trireme.model": model, "trireme.version": version})
    error = ""
    try:
        answer = await hop.call(model, version, payloads, deadline, request_id, span.traceparent, priority)
        error = _note_answer(span, answer)
        return answer
    except BaseException as failure:
        error = _code_of(failure)
        raise
    finally:
        span.end(error)


def _code_of(failure: BaseException) -> str:
    if isinstance(failure, TriremeError):
        return failure.code.value
    return Code.CANCELLED.value if isinstance(failure, asyncio.CancelledError) else type(failure).__name__


def _note_answer(span: Span, answer: HopAnswer) -> str:
    """Returns the code of the first item that failed, or nothing."""
    codes = [outcome.code.value for outcome in answer.outcomes if isinstance(outcome, TriremeError)]
    span.note(
        {
            "trireme.items": len(answer.outcomes),
            "trireme.failed": len(codes),
            "trireme.queue_ms": answer.queue_us / 1000,
            "trireme.compute_ms": answer.compute_us / 1000,
        }
    )
    return codes[0] if codes else ""
