"""How long answers take, as far as it was seen: quantiles for one model version, a mean for one endpoint."""

from __future__ import annotations

from collections import deque

_WINDOW = 512
_BASE_SECONDS = 0.005
_TOLERANCE = 2.0
_HALF_LIFE_SECONDS = 5.0


class AnswerTimes:
    """Quantiles over the last 512 answers of one model version, from whichever endpoint.

    Sorting is put off until an eighth of the window is new, which makes an answer cost less than a
    microsecond on average.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_WINDOW)
        self._sorted: list[float] = []
        self._fresh = 0

    def add(self, seconds: float) -> bool:
        """Takes the time of one answer; says whether the quantiles changed."""
        self._seconds.append(seconds)
        self._fresh += 1
        if self._fresh * 8 < len(self._seconds):
            return False
        self._sorted = sorted(self._seconds)
        self._fresh = 0
        return True

    @property
    def count(self) -> int:
        """Answers in the window when the quantiles were last computed."""
        return len(self._sorted)

    def quantile(self, q: float) -> float:
        """Seconds within which a share `q` of the answers came; needs `count` > 0."""
        return self._sorted[min(int(q * len(self._sorted)), len(self._sorted) - 1)]


class EndpointPace:
    """Moving mean of one endpoint's answer times: quick to rise, slow to fall, forgotten in silence.

    A rise counts 0.3, a fall 0.1. Where nothing was seen for a while, what exceeds the best endpoint
    halves every 5 s, so that a slow endpoint is tried again and may show that it recovered.
    """

    def __init__(self) -> None:
        self._mean: float | None = None
        self._seen = 0.0

    def answered(self, seconds: float, now: float) -> None:
        if self._mean is None:
            self._mean = seconds
        else:
            self._mean += (0.3 if seconds > self._mean else 0.1) * (seconds - self._mean)
        self._seen = now

    def gave_up(self, seconds: float, now: float) -> None:
        """No answer within `seconds`, when it came from elsewhere: the time is at least that."""
        if self._mean is not None and seconds > self._mean:
            self.answered(seconds, now)

    @property
    def seconds(self) -> float | None:
        return self._mean

    def weight(self, best: float, now: float) -> float:
        """By how much this endpoint's work counts for more than that of the best: 1 up to twice its time.

        Times under 5 ms are not told apart: at that scale chance decides.
        """
        best = max(best, _BASE_SECONDS)
        if self._mean is None or self._mean <= best:
            return 1.0
        excess: float = (self._mean - best) * 0.5 ** ((now - self._seen) / _HALF_LIFE_SECONDS)
        return max(1.0, (best + excess) / (_TOLERANCE * best))
