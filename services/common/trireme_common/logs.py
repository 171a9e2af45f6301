"""Structured logs: one JSON object a line on standard error, never the input of a request.

Lines are written by a thread of their own from a bounded queue: a reader of standard error that has
stopped reading must not stop the service, so lines that find the queue full are counted and dropped.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import select
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog
from prometheus_client import Counter

_QUEUE_LINES = 10_000
_FLUSH_SECONDS = 1.0
_GATHER_SECONDS = 0.02

DROPPED = Counter("trireme_log_lines_dropped", "Log lines dropped because standard error was not read.")


class LineWriter:
    """Sink of whole lines that never blocks its caller."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write_line(self, line: bytes) -> None:
        if len(self._lines) >= _QUEUE_LINES:
            DROPPED.inc()
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Writes what is queued, for at most a second."""
        self._closing = True
        self._wake.set()
        self._thread.join(_FLUSH_SECONDS)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            if not self._closing:
                # Lines of a busy moment leave together: waking this thread for each of them would
                # cost the event loop more than writing them.
                time.sleep(_GATHER_SECONDS)
            self._wake.clear()
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            try:
                _write(self._descriptor, b"".join(lines))
            except OSError:
                return
            if self._closing and not self._lines:
                return


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:  # whoever shares the descriptor made it non-blocking
            select.select((), (descriptor,), ())


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


_METHODS = {
    "debug": ("debug",),
    "info": ("info", "msg"),
    "warning": ("warning", "warn"),
    "error": ("error", "critical", "fatal"),  # `exception` ends in `error`
}
LEVELS = tuple(_METHODS)
"""Severities that can be written or left out, from the least."""


def levels_from(least: str) -> frozenset[str]:
    """The severities from `least` on."""
    return frozenset(LEVELS[LEVELS.index(least) :])


class LogSwitch:
    """What of this process's log is written and in which form, changed while it runs.

    A line that is left out costs what it cost before: loggers are made once and kept, so their class
    is given a method that does nothing, and the list of processors that they share is replaced in place.
    """

    def __init__(self, loggers: type, processors: list[Any], texts: Collection[Any]) -> None:
        """`loggers` is the class of all loggers, `processors` their list; `texts` replace the latter
        while lines are wanted as text."""
        self._loggers = loggers
        self._processors = processors
        self._usual = tuple(processors)
        self._texts = tuple(texts)

    def set_levels(self, levels: Collection[str]) -> None:
        """Writes lines of these `LEVELS` and of no other."""
        for level, methods in _METHODS.items():
            for method in methods:
                if level not in levels:
                    setattr(self._loggers, method, _nothing)
                elif method in vars(self._loggers):
                    delattr(self._loggers, method)

    def set_text(self, text: bool) -> None:
        """Lines as text, time first, instead of the form that the process was started with."""
        self._processors[:] = self._texts if text else self._usual


def _nothing(*_: Any, **__: Any) -> None:
    """A line that is left out."""


_switch = LogSwitch(type("UnconfiguredLogger", (), {}), [], ())


def log_switch() -> LogSwitch:
    """The switch of this process's log; without effect until `configure_logs` was called."""
    return _switch


def configure_logs(service: str, level: str, log_format: str) -> LineWriter:
    """Sets up logging of this process; called once, by `__main__`."""
    global _switch
    writer = LineWriter(sys.stderr.fileno())
    atexit.register(writer.close)

    processors: list[Any] = [JsonLine(service)]
    if log_format == "console":
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        processors = [_Common(service), console]
    loggers = type("SwitchedLogger", (structlog.make_filtering_bound_logger(logging.DEBUG),), {})
    _switch = LogSwitch(loggers, processors, (TextLine(service),))
    _switch.set_levels(levels_from(level))
    structlog.configure(
        processors=processors,
        wrapper_class=loggers,
        logger_factory=lambda *_: _Logger(writer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)
    return writer


class _Common:
    """Adds what every line says: level, service, time, and an exception's trace."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._second = 0
        self._date = ""

    def __call__(
        self, logger: Any, method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        event = structlog.processors.add_log_level(logger, method, event)
        event["service"] = self._service
        event["timestamp"] = self._timestamp()
        return format_trace(logger, method, event) if "exc_info" in event else event

    def _timestamp(self) -> str:
        """UTC in ISO 8601 with microseconds; the part up to the seconds is formatted once a second."""
        microseconds = time.time_ns() // 1000
        second, rest = divmod(microseconds, 1_000_000)
        if second != self._second:
            self._date = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            self._second = second
        return f"{self._date}.{rest:06d}Z"


class JsonLine:
    """The whole chain as one processor: a request's line passes it, so it may not cost much."""

    def __init__(self, service: str) -> None:
        self._common = _Common(service)

    def __call__(self, logger: Any, method: str, event: structlog.types.EventDict) -> bytes:
        return _dumps(self._common(logger, method, event))


class TextLine:
    """`2026-01-31T12:00:00.000000Z I gateway request status="200"`: as Triton's ISO 8601 lines begin."""

    def __init__(self, service: str) -> None:
        self._common = _Common(service)

    def __call__(self, logger: Any, method: str, event: structlog.types.EventDict) -> bytes:
        line = self._common(logger, method, event)
        first = [str(line.pop(key, "")) for key in ("timestamp", "level", "service", "event")]
        first[1] = first[1][:1].upper()
        # Values as JSON: whatever they hold, a line stays one line.
        rest = (b"%s=%s" % (key.encode(), _dumps(value)) for key, value in line.items())
        return b" ".join((*(part.encode("utf-8", "backslashreplace") for part in first), *rest))


def format_trace(_: Any, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """Replaces `exc_info` by the frames and the type of the exception.

    Its message is left out: a library's message may quote what a caller sent, and logs never hold that.
    """
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if given and error is None:
        error = sys.exception()
    if error is not None:
        event["exception"] = type(error).__name__
        event["trace"] = "".join(traceback.format_tb(error.__traceback__))
    return event


def _dumps(event: Any) -> bytes:
    try:
        return orjson.dumps(event, default=str)
    except TypeError:  # lone surrogates of a file name, integers beyond 64 bits: logging must not fail
        return json.dumps(event, default=str).encode()
