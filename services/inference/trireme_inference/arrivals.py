"""How fast rows come, and how fast while others are there: samples in, rates out, no clock inside.

Callers who wait for their answer before they ask again are company only until all of them are here: one
alone never meets anybody, however fast it asks. So the rate is learnt for each number n of requests that
are present, waiting or running, as the birth rates of a birth-and-death process are (N. Keiding, "Maximum
Likelihood Estimation in the Birth-and-Death Process", Annals of Statistics 3, 1975): rows that came while
n were present, over the seconds with n present,

    r(n) = rows / (seconds + DOUBT)

where DOUBT, a tenth of the window, lets a number that was hardly ever seen expect nobody. Both sums fade with
the window of time at n and with the rows that came, 64 of them, so that what has changed is forgotten. Of
random arrivals from many callers every r(n) is the rate itself.
"""

from __future__ import annotations

import math

_DOUBT = 0.1
_ROWS = 64.0


class Arrivals:
    """`window_seconds`: time after which what was seen counts for 1/e."""

    def __init__(self, window_seconds: float) -> None:
        self._window = window_seconds
        self.rate = 0.0
        """Rows a second, whatever is present."""
        self._seen: list[tuple[float, float]] = []
        """Faded rows and seconds by the number that is present."""
        self._arrived = self._present = 0
        self._at = -math.inf

    def seen(self, now: float, arrived: int, present: int) -> None:
        """So many rows have come until now, and so many requests are present from now on."""
        elapsed, came = now - self._at, arrived - self._arrived
        fade = math.exp(-elapsed / self._window)
        self.rate = self.rate * fade + came / self._window
        if self._present:
            rows, seconds = self._seen[self._present]
            crowded = _ROWS / (_ROWS + came)
            rows = rows * fade * crowded + came
            seconds = seconds * fade * crowded + (1 - fade) * self._window
            self._seen[self._present] = (rows, seconds)
        self._at, self._arrived, self._present = now, arrived, present
        while len(self._seen) <= present:
            self._seen.append((0.0, 0.0))

    def rate_beside(self) -> float:
        """r(n) of what is present now; 0 where nothing is."""
        if not self._present:
            return 0.0
        rows, seconds = self._seen[self._present]
        return rows / (seconds + _DOUBT * self._window)
