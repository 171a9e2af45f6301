"""What came of the requests that count."""

from __future__ import annotations

import re
from dataclasses import dataclass

import orjson

from trireme_cli.loadtest.histogram import Histogram
from trireme_cli.loadtest.http import Response
from trireme_cli.loadtest.server_timing import parts_of
from trireme_cli.loadtest.timeline import Timeline

_CACHE = re.compile(rb"\r\nx-cache: *([a-z-]+)", re.IGNORECASE)
_VERSION = re.compile(rb"\r\nx-model-version: *([^\r\n]+)", re.IGNORECASE)
# Reading the header of every answer would cost as much as all the rest.
_TIMED_EVERY = 8
_DETAIL_CHARACTERS = 300


@dataclass(frozen=True)
class Lost:
    """A request without an answer: `connect`, `timeout`, `reset`, `protocol` or `unsent`, and why."""

    kind: str
    detail: str


@dataclass
class ErrorCount:
    """How often one kind of error came, and what the first one said."""

    count: int
    example: str


class Tally:
    """Counts and latencies. Times are seconds of one monotonic clock; latencies are of good answers only."""

    def __init__(self) -> None:
        self.began = self.ended = 0.0
        self.succeeded = self.failed = 0
        self.sent_bytes = self.received_bytes = 0
        self.latency = Histogram()
        self.lateness = Histogram()
        """Of an open loop: how much later than intended a request left."""
        self.errors: dict[str, ErrorCount] = {}
        self.cache: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self.timings: dict[str, Histogram] = {}
        self.timeline = Timeline()

    @property
    def requests(self) -> int:
        return self.succeeded + self.failed

    @property
    def seconds(self) -> float:
        return max(self.ended - self.began, 0.0)

    def note(self, intended: float, now: float, sent: int, outcome: Response | Lost) -> None:
        """One request that was to leave at `intended` and ended `now`; `sent` is its size in bytes."""
        self.ended = max(self.ended, now)
        self.sent_bytes += sent
        if isinstance(outcome, Response):
            self.received_bytes += len(outcome.head) + 2 + len(outcome.body)
            if outcome.status == 200:
                self._succeed(now - intended, now, outcome)
                return
        self.failed += 1
        self.timeline.record(now - self.began, None)
        kind, detail = described(outcome)
        if kind in self.errors:
            self.errors[kind].count += 1
        else:
            self.errors[kind] = ErrorCount(1, detail[:_DETAIL_CHARACTERS])

    def _succeed(self, latency: float, now: float, response: Response) -> None:
        self.succeeded += 1
        self.latency.record(latency)
        self.timeline.record(now - self.began, latency)
        head = response.head
        _count(self.cache, _CACHE.search(head))
        _count(self.versions, _VERSION.search(head))
        if self.succeeded % _TIMED_EVERY == 1:
            for name, milliseconds in parts_of(head).items():
                self.timings.setdefault(name, Histogram()).record(milliseconds / 1000)


def _count(counts: dict[str, int], found: re.Match[bytes] | None) -> None:
    if found is not None:
        value = found[1].decode("latin-1")
        counts[value] = counts.get(value, 0) + 1


def described(outcome: Response | Lost) -> tuple[str, str]:
    """Kind and detail of an error: the status with the code that the answer names, if it names one."""
    if isinstance(outcome, Lost):
        return outcome.kind, outcome.detail
    kind = f"HTTP {outcome.status}"
    try:
        problem = orjson.loads(outcome.body)
    except ValueError:
        return kind, outcome.body[:_DETAIL_CHARACTERS].decode("utf-8", "replace")
    if not isinstance(problem, dict):
        return kind, str(problem)
    code, detail = problem.get("code"), problem.get("detail") or problem.get("error") or problem.get("title")
    return f"{kind} {code}" if isinstance(code, str) else kind, str(detail or "")
