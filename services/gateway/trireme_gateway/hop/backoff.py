"""How long to wait before an endpoint is connected to again."""

from __future__ import annotations

import random
from collections.abc import Callable

_FIRST_SECONDS = 0.05
_MOST_SECONDS = 0.6  # with its jitter under a second, so that an endpoint is missed no longer
_STEADY_SECONDS = 5.0


class Backoff:
    """Doubles from 50 ms to 0.6 s, times 0.5 to 1.5 by chance, and begins anew after 5 s of connection."""

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._next = _FIRST_SECONDS

    def after(self, connected_seconds: float) -> float:
        """Seconds to wait after a connection that lasted `connected_seconds`."""
        if connected_seconds > _STEADY_SECONDS:
            self._next = _FIRST_SECONDS
        seconds, self._next = self._next, min(self._next * 2, _MOST_SECONDS)
        return seconds * self._uniform(0.5, 1.5)
