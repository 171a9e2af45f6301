"""How much work a pool has, over a window that is longer than the pause between two looks of an autoscaler.

A look at one moment would miss most short requests: at one request of 10 ms a second, 99 looks of 100 find
nothing, and the pool would be taken for idle. So work under way is averaged, and what waits is remembered at
its highest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_LEAST = 0.001


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look at a pool found. An item is a request to inference, as its own metrics count them."""

    sent: int
    """Items sent since the look before."""
    seconds: float
    """How long inference takes for one of them."""
    under_way: int
    """Items sent and not yet answered."""
    queued: int
    """Held requests, and items that wait in the gateway for their turn: the most since the look before."""


class Window:
    """The samples of the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: deque[tuple[float, Sample]] = deque()
        self._begun: float | None = None

    def add(self, now: float, sample: Sample) -> None:
        """`now` is in seconds of a monotonic clock."""
        if self._begun is None:
            self._begun = now
        self._samples.append((now, sample))
        while now - self._samples[0][0] > self._seconds:
            self._samples.popleft()

    @property
    def in_flight(self) -> float:
        """Items under way, on average over the window; above 0 where anything was sent in it.

        Two estimates of one number: the mean of what the looks found, which serves long requests, and
        arrivals times the time of each (Little's law, L = lambda * W), which serves those shorter than the
        pause between two looks. The larger one counts.
        """
        if not self._samples or self._begun is None:
            return 0.0
        samples = [sample for _, sample in self._samples]
        seen = sum(sample.under_way for sample in samples) / len(samples)
        newest = self._samples[-1][0]
        covered = min(self._seconds, newest - self._begun)
        busy = sum(sample.sent * sample.seconds for sample in samples)
        passed = busy / covered if covered > 0 else 0.0
        least = _LEAST if any(sample.sent for sample in samples) else 0.0
        return max(seen, passed, least)

    @property
    def queued(self) -> int:
        """The most that waited at a time."""
        return max((sample.queued for _, sample in self._samples), default=0)
