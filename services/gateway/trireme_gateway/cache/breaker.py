"""Decides whether a dependency is worth asking.

Closed, until `failures` calls in a row failed. Then open: nobody asks for a back-off that doubles with each
failed probe, from `backoff_seconds` to `max_backoff_seconds`, times a random factor in [0.5, 1] so that
gateways do not probe together. Then half-open: one probe decides between closed and open.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from enum import Enum


class Verdict(Enum):
    """What a caller may do."""

    PASS = "pass"
    PROBE = "probe"
    """Make one call and report its outcome; everybody else is refused until then."""
    REFUSE = "refuse"


class Breaker:
    """Circuit breaker without a transport, a timer or a task."""

    def __init__(
        self,
        *,
        failures: int = 2,
        backoff_seconds: float = 0.1,
        max_backoff_seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._threshold = failures
        self._backoff = backoff_seconds
        self._max_backoff = max_backoff_seconds
        self._clock = clock
        self._uniform = uniform
        self._failed = 0
        self._opened = 0
        self._retry_at: float | None = None
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether ordinary calls are refused (also while a probe is under way)."""
        return self._retry_at is not None

    @property
    def suspicious(self) -> bool:
        """Whether the last call failed."""
        return self._failed > 0

    def ask(self) -> Verdict:
        """Who gets PROBE must report `succeeded` or `failed`."""
        if self._retry_at is None:
            return Verdict.PASS
        if self._probing or self._clock() < self._retry_at:
            return Verdict.REFUSE
        self._probing = True
        return Verdict.PROBE

    def succeeded(self) -> None:
        """A call went well. One that had started before the breaker opened does not close it."""
        if self._retry_at is not None and not self._probing:
            return
        self._failed = self._opened = 0
        self._retry_at = None
        self._probing = False

    def failed(self) -> None:
        """A call failed. One that had started before the breaker opened does not prolong the back-off."""
        self._failed += 1
        if self._retry_at is not None and not self._probing:
            return
        if self._probing or self._failed >= self._threshold:
            self._probing = False
            backoff: float = min(self._max_backoff, self._backoff * 2 ** min(self._opened, 32))
            self._retry_at = self._clock() + backoff * self._uniform(0.5, 1.0)
            self._opened += 1
