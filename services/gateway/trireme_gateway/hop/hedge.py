"""When a call is asked a second time of another endpoint, and how often that may happen.

    delay  = clamp(p99 of the model version's answer times, 20 ms, 2 s); 100 ms before 50 answers
    tokens = min(20, tokens + 0.05) at every call; a hedge takes one

The quantile makes hedges rare (1 in 100) while all is well, the bucket keeps them under 5% of the
calls when nothing is, so that hedging never feeds an overload. Answers of calls that lost to their
hedge are not in the quantile: one slow endpoint does not teach patience.
"""

from __future__ import annotations

from trireme_gateway.hop.answer_times import AnswerTimes

_DEFAULT_SECONDS = 0.1
_MIN_SECONDS = 0.02
_MAX_SECONDS = 2.0
_MIN_ANSWERS = 50
_QUANTILE = 0.99
_BURST = 20.0


def hedge_delay(times: AnswerTimes) -> float:
    """Seconds after which a call without an answer is asked elsewhere too."""
    if times.count < _MIN_ANSWERS:
        return _DEFAULT_SECONDS
    return min(max(times.quantile(_QUANTILE), _MIN_SECONDS), _MAX_SECONDS)


class HedgeTokens:
    """Token bucket that calls fill; it starts with two tokens, so that a quiet gateway may hedge too."""

    def __init__(self, fraction: float = 0.05) -> None:
        self._fraction = fraction
        self._tokens = 2.0 if fraction else 0.0

    def called(self) -> None:
        """A call was made for the first time."""
        if self._tokens < _BURST:
            self._tokens += self._fraction

    @property
    def available(self) -> bool:
        return self._tokens >= 1

    def take(self) -> None:
        """Pays for a hedge."""
        self._tokens -= 1
