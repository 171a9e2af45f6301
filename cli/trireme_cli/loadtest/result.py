"""What a load test found, as it is printed, drawn and kept."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from trireme_cli.loadtest.loops import Pace
from trireme_cli.loadtest.tally import Tally

_NOTHING_MS = 0.002
PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99)


@dataclass(frozen=True)
class Subject:
    """What was measured, in words."""

    model: str
    url: str
    protocol: str
    task: str
    distinct_requests: int
    started: str
    """UTC, ISO 8601."""


@dataclass(frozen=True)
class Limits:
    """What makes the command fail."""

    max_error_rate: float
    p99_ms: float | None = None
    min_rate: float | None = None

    def missed(self, result: LoadResult) -> list[str]:
        """A line for each that was not kept."""
        lines, tally = [], result.tally
        if tally.requests == 0:
            return ["no request was answered, nor failed, within the time"]
        if result.error_rate > self.max_error_rate:
            lines.append(
                f"{result.error_rate:.2%} of the requests failed, {self.max_error_rate:.2%} are allowed"
            )
        p99 = tally.latency.percentile(0.99) * 1000
        if self.p99_ms is not None and not p99 <= self.p99_ms:
            lines.append(f"p99 is {p99:.1f} ms, {self.p99_ms:g} ms are allowed")
        if self.min_rate is not None and result.rate < self.min_rate:
            lines.append(f"{result.rate:.1f} answers a second, {self.min_rate:g} are wanted")
        return lines


@dataclass(frozen=True)
class LoadResult:
    subject: Subject
    pace: Pace
    tally: Tally
    stopped_early: bool

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return self.tally.succeeded / self.tally.seconds if self.tally.seconds else 0.0

    @property
    def error_rate(self) -> float:
        """Share of the requests that failed, 0 to 1."""
        return self.tally.failed / self.tally.requests if self.tally.requests else 0.0

    @property
    def cached_share(self) -> float:
        """Share of the good answers that the model did not make for them, 0 to 1."""
        found = sum(self.tally.cache.get(word, 0) for word in ("hit", "coalesced"))
        return found / self.tally.succeeded if self.tally.succeeded else 0.0

    def timings_ms(self) -> dict[str, float]:
        """Medians of the parts of server-timing, but for those that took no time."""
        medians = {name: times.percentile(0.5) * 1000 for name, times in self.tally.timings.items()}
        return {name: round(value, 4) for name, value in medians.items() if value > _NOTHING_MS}

    def as_dict(self) -> dict[str, Any]:
        """One object for programs; null where nothing was measured."""
        tally, pace = self.tally, self.pace
        loop = {"loop": "closed"} if pace.rate is None else {"loop": "open", "rate": pace.rate}
        return {
            **asdict(self.subject),
            **loop,
            "connections": pace.connections,
            "warm_up_seconds": pace.warm_up_seconds,
            "seconds": round(tally.seconds, 3),
            "stopped_early": self.stopped_early,
            "requests": tally.requests,
            "succeeded": tally.succeeded,
            "failed": tally.failed,
            "error_rate": round(self.error_rate, 6),
            "requests_per_second": round(self.rate, 2),
            "latency_ms": self.latencies_ms(),
            "lateness_p99_ms": _ms(tally.lateness.percentile(0.99)) if pace.rate is not None else None,
            "errors": {
                kind: {"count": error.count, "example": error.example} for kind, error in tally.errors.items()
            },
            "x_cache": dict(tally.cache),
            "model_versions": dict(tally.versions),
            "server_timing_ms": self.timings_ms(),
            "bytes": {"sent": tally.sent_bytes, "received": tally.received_bytes},
            "timeline": self._timeline(),
        }

    def latencies_ms(self) -> dict[str, float | None]:
        """min, mean, every percentile, max of good answers."""
        latency = self.tally.latency
        found = {f"p{share:g}": _ms(latency.percentile(share / 100)) for share in PERCENTILES}
        least = _ms(latency.min if latency.count else math.nan)
        most = _ms(latency.max if latency.count else math.nan)
        return {"min": least, "mean": _ms(latency.mean), **found, "max": most}

    def _timeline(self) -> list[dict[str, float | None]]:
        steps = self.tally.timeline
        return [
            {
                "second": round(number * steps.step_seconds, 3),
                "requests_per_second": round(step.latency.count / steps.step_seconds, 2),
                "errors_per_second": round(step.errors / steps.step_seconds, 2),
                "p50_ms": _ms(step.latency.percentile(0.5)),
                "p99_ms": _ms(step.latency.percentile(0.99)),
            }
            for number, step in enumerate(steps.steps)
        ]


def _ms(seconds: float) -> float | None:
    return None if math.isnan(seconds) else round(seconds * 1000, 4)
