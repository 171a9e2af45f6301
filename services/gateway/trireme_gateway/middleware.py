"""The one middleware that every request passes: identity, deadline, headers, metrics, access log.

Pure ASGI: behind Starlette's BaseHTTPMiddleware a handler never learns that the client left.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import Callable, Iterable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trireme_common.errors import Code, TriremeError
from trireme_common.tracing import NO_TRACER, Tracer, log_ids
from trireme_gateway.context import RequestContext
from trireme_gateway.errors import error_response
from trireme_gateway.metrics import ACTIVE_REQUESTS, RequestMetrics
from trireme_gateway.request_trace import begin, end_http

logger = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
_CLIENT_LEFT = 499
_PROBES = frozenset({"/health", "/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"})


class AccessLog:
    """Counts a finished request and writes its line; serves HTTP and gRPC alike."""

    def __init__(self) -> None:
        self._metrics = RequestMetrics()

    def begin(self) -> None:
        """A request has arrived; `finish` is owed."""
        ACTIVE_REQUESTS.inc()

    def finish(self, context: RequestContext, status: str) -> None:
        """`status` is the HTTP status or the name of the gRPC code. Nothing of the input is written."""
        ACTIVE_REQUESTS.dec()
        seconds = time.monotonic() - context.started
        self._metrics.finished(context.endpoint, status, seconds)
        # Probes and scrapes come every second and say nothing new.
        say = logger.debug if context.endpoint in _PROBES and status == "200" else logger.info
        say(
            "request",
            endpoint=context.endpoint,
            status=status,
            latency_ms=round(seconds * 1000, 3),
            confidence=context.confidence,
            request_id=context.request_id,
            model=context.model or None,
            version=context.version or None,
            items=context.items,
            failed=context.failed,
            cache=context.cache or None,
            **log_ids(context.span),
        )


class RequestMiddleware:
    """Gives each request its RequestContext (`scope["trireme.context"]`) and sees it off."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        timeout_seconds: float,
        access_log: AccessLog,
        draining: Callable[[], bool],
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._app = app
        self._timeout_seconds = timeout_seconds
        self._access_log = access_log
        self._draining = draining
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context, traceparent = _context(scope["headers"], self._timeout_seconds)
        scope["trireme.context"] = context
        if self._tracer.enabled and scope["path"] not in _PROBES:
            context.span = begin(self._tracer, traceparent)
        answer = _Answer(context, send, self._draining)
        self._access_log.begin()
        try:
            await self._app(scope, receive, answer.send)
        except asyncio.CancelledError:
            # The client left, or the grace of a shutdown is over: the work behind is cancelled with
            # this task, and there is nobody to tell. Passing it on would only fill the log.
            pass
        except Exception:  # the last guard of a request: the caller gets an id, the log the traceback
            logger.exception("request_failed", request_id=context.request_id, **log_ids(context.span))
            context.error = Code.INTERNAL
            if not answer.started:
                error = TriremeError(Code.INTERNAL, f"internal error; request id {context.request_id}")
                await error_response(scope["path"], error, context.request_id)(scope, receive, answer.send)
        finally:
            route = scope.get("route")
            context.endpoint = getattr(route, "path", context.endpoint)
            self._access_log.finish(context, str(answer.status))
            if context.span is not None:
                end_http(context.span, context, scope["method"], scope.get("scheme", "http"), answer.status)


class _Answer:
    """The way out of one request: adds the headers that every answer carries."""

    def __init__(self, context: RequestContext, send: Send, draining: Callable[[], bool]) -> None:
        self._context = context
        self._send = send
        self._draining = draining
        self.status = _CLIENT_LEFT  # stands if no answer ever starts
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message = {**message, "headers": [*message["headers"], *self._headers()]}
        await self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        context = self._context
        headers = [
            (b"x-request-id", context.request_id.encode()),
            (b"server-timing", _server_timing(context).encode()),
        ]
        if context.version:
            headers.append((b"x-model-version", context.version.encode()))
        if context.cache:
            headers.append((b"x-cache", context.cache.encode()))
            if context.stale_seconds:  # as RFC 9211 says it of an answer that is past its time
                status = f"trireme; hit; ttl=-{math.ceil(context.stale_seconds)}"
                headers.append((b"cache-status", status.encode()))
        if self._draining():
            headers.append((b"connection", b"close"))
        return headers


def _server_timing(context: RequestContext) -> str:
    parts = [f"{stage};dur={seconds * 1000:.3f}" for stage, seconds in context.stage_seconds.items()]
    parts.append(f"total;dur={(time.monotonic() - context.started) * 1000:.3f}")
    return ", ".join(parts)


def _context(headers: Iterable[tuple[bytes, bytes]], timeout_seconds: float) -> tuple[RequestContext, str]:
    """The context of a request and its `traceparent`, from its raw headers."""
    known = dict(headers)  # of a header that is repeated, which none of these may be, the last counts
    request_id = known.get(b"x-request-id", b"").decode("latin-1")
    if not _REQUEST_ID.fullmatch(request_id):
        request_id = f"{random.getrandbits(128):032x}"
    wanted = known.get(b"x-request-timeout-ms", b"")
    if wanted.isdigit() and len(wanted) < 10:
        timeout_seconds = min(timeout_seconds, int(wanted) / 1000)
    now = time.monotonic()
    traceparent = known.get(b"traceparent", b"").decode("latin-1")
    context = RequestContext(request_id, now + timeout_seconds, now)
    if b"cache-control" in known:
        context.cache_control = _joined(headers, b"cache-control")
    return context, traceparent


def _joined(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    """All values of a header that may be repeated."""
    return ",".join(value.decode("latin-1") for name, value in headers if name == wanted)
