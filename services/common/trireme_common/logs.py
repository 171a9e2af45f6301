"""Structured logs: one JSON object a line on standard error, never the input of a request.

Lines are written by a thread of their own from a bounded queue: a reader of standard error that has
stopped reading must not stop the service, so lines that find the queue full are counted and dropped.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import sys
import threading
from typing import Any

import orjson
import structlog
from prometheus_client import Counter

_QUEUE_LINES = 10_000
_FLUSH_SECONDS = 1.0

DROPPED = Counter("trireme_log_lines_dropped", "Log lines dropped because standard error was not read.")


class LineWriter:
    """File-like sink of whole lines that never blocks its caller."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | None] = queue.Queue(_QUEUE_LINES)
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write_line(self, line: bytes) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            DROPPED.inc()

    def close(self) -> None:
        """Writes what is queued, for at most a second."""
        try:
            self._lines.put(None, timeout=_FLUSH_SECONDS)
        except queue.Full:
            return
        self._thread.join(_FLUSH_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            lines = [line]
            last = False
            while not self._lines.empty():
                following = self._lines.get()
                if following is None:
                    last = True
                    break
                lines.append(following)
            try:
                _write(self._descriptor, b"".join(lines))
            except OSError:
                return
            if last:
                return


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class _Logger:
    """structlog's end of the chain: one rendered line to the writer."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: str | bytes) -> None:
        data = line.encode("utf-8", "backslashreplace") if isinstance(line, str) else line
        self._writer.write_line(data + b"\n")

    debug = info = warning = error = critical = exception = msg


class _Bridge(logging.Handler):
    """Sends what libraries log through the standard library into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        method = {"DEBUG": "debug", "INFO": "info", "WARNING": "warning"}.get(record.levelname, "error")
        getattr(log, method)(record.getMessage(), exc_info=record.exc_info or None)


def configure_logs(service: str, level: str, log_format: str) -> LineWriter:
    """Sets up logging of this process; called once, by `__main__`."""
    writer = LineWriter(sys.stderr.fileno())
    atexit.register(writer.close)

    def add_service(_: Any, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event["service"] = service
        return event

    renderer: Any = structlog.processors.JSONRenderer(serializer=_dumps)
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            add_service,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=lambda *_: _Logger(writer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)
    return writer


def _dumps(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)
