"""The spans of a stage: one for all items of one request in one message.

A request's items share their place in the trace and are answered by the same work, so a span for
each of them would say the same thing up to 64 times.
"""

from __future__ import annotations

from trireme_common.errors import Code
from trireme_common.tracing import Span, SpanKind, TraceParent, Tracer


class ItemsTrace:
    """The span of a request's items; ends when each was answered or given up by its caller."""

    __slots__ = ("_codes", "_compute_us", "_items", "_queue_us", "_remaining", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self._items = self._remaining = 0
        self._queue_us = self._compute_us = 0
        self._codes: dict[str, int] = {}

    def join(self) -> None:
        """One item more belongs to it."""
        self._items += 1
        self._remaining += 1

    def settle(self, code: Code | None, queue_us: int = 0, compute_us: int = 0) -> None:
        """An item was answered, well where `code` is None, after waiting and running so long."""
        self._queue_us = max(self._queue_us, queue_us)
        self._compute_us = max(self._compute_us, compute_us)
        if code is not None:
            self._codes[code.value] = self._codes.get(code.value, 0) + 1
        self._remaining -= 1
        if not self._remaining:
            self._end()

    def _end(self) -> None:
        if not self.span.place.sampled:
            return
        self.span.note(
            {
                "trireme.items": self._items,
                "trireme.failed": sum(self._codes.values()),
                "trireme.queue_ms": self._queue_us / 1000,
                "trireme.compute_ms": self._compute_us / 1000,
            }
        )
        for code, count in self._codes.items():
            self.span.event("items_failed", {"error.type": code, "trireme.items": count})
        self.span.end(next(iter(self._codes), ""))


class MessageTrace:
    """The traces of one message's items, by the place in the trace that each came from."""

    def __init__(self, tracer: Tracer, stage: str, model: str, version: str) -> None:
        self._tracer = tracer
        self._stage = stage
        self._labels = {"trireme.model": model, "trireme.version": version}
        self._known: dict[str, ItemsTrace | None] = {}

    def join(self, traceparent: str, request_id: str) -> ItemsTrace | None:
        """The trace that an item belongs to; None where it came without one."""
        if traceparent not in self._known:
            self._known[traceparent] = self._start(traceparent, request_id)
        found = self._known[traceparent]
        if found is not None:
            found.join()
        return found

    def _start(self, traceparent: str, request_id: str) -> ItemsTrace | None:
        parent = TraceParent.parse(traceparent)
        if parent is None:
            return None
        span = self._tracer.start(self._stage, SpanKind.SERVER, parent)
        if span is None:
            return None
        if parent.sampled:
            span.note({**self._labels, "trireme.request_id": request_id})
        return ItemsTrace(span)
