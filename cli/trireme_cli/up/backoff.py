"""How long to wait before a program that died is started again."""

from __future__ import annotations

FIRST_SECONDS = 0.1
LIMIT_SECONDS = 5.0
RESET_AFTER_SECONDS = 30.0


class Backoff:
    """Doubles from `first` to `limit`; a life of `reset_after` seconds or more begins anew."""

    def __init__(
        self,
        first: float = FIRST_SECONDS,
        limit: float = LIMIT_SECONDS,
        reset_after: float = RESET_AFTER_SECONDS,
    ) -> None:
        self._first = first
        self._limit = limit
        self._reset_after = reset_after
        self._next = first

    def delay_after(self, lifetime_seconds: float) -> float:
        """Seconds to wait after a life of this length."""
        if lifetime_seconds >= self._reset_after:
            self._next = self._first
        delay = self._next
        self._next = min(self._limit, delay * 2)
        return delay
