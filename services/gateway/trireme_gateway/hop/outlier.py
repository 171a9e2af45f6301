"""Which endpoints get no calls for a while, because they fail or fall silent.

    silent for longer than  max(0.3 s, 3 * p99 of the answer times of what it has under way)
                            (1 s in place of the p99 term before 50 answers are known)
    or 3 calls given up in vain, without a word for 0.1 s since the first was sent
    or 5 failures in a row  -> ejected for  min(1 s * 2^(repeats), 30 s) * uniform(0.8, 1.2)
    after that time         -> probing: one call is risked
    a sound answer          -> in use again, at once, whatever the time
    a new connection        -> in use again, if it was silence that ejected it
    60 s without ejection   -> repeats are forgotten

At most two thirds of the endpoints are out, and never all: with every endpoint bad, which of them is
asked matters less than that one is.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from trireme_gateway.hop.answer_times import AnswerTimes

_MIN_ANSWERS = 50


@dataclass(frozen=True, slots=True)
class OutlierPolicy:
    """Formulas as the module says."""

    silence_seconds: float = 0.3
    silence_factor: float = 3.0
    unlearned_seconds: float = 1.0
    ignored: int = 3
    ignored_seconds: float = 0.1
    failures: int = 5
    ejection_seconds: float = 1.0
    max_ejection_seconds: float = 30.0
    forgive_seconds: float = 60.0
    max_fraction: float = 2 / 3

    def silence_limit(self, times: AnswerTimes) -> float:
        """Seconds of silence that are too long for an endpoint with work of a model version."""
        if times.count < _MIN_ANSWERS:
            return max(self.silence_seconds, self.unlearned_seconds)
        return max(self.silence_seconds, self.silence_factor * times.quantile(0.99))

    def may_eject(self, ejected: int, usable: int) -> bool:
        """Whether one more of `usable` endpoints may go, of which `ejected` are out already."""
        return ejected + 1 <= int(self.max_fraction * usable + 1e-9)


class Reason(Enum):
    """Why an endpoint was ejected."""

    SILENCE = "silence"
    FAILURES = "failures"


class Outlier:
    """Standing of one endpoint. `now` is in seconds of any monotonic clock."""

    def __init__(
        self, policy: OutlierPolicy, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._policy = policy
        self._uniform = uniform
        self.ejected = False
        """Whether it gets no calls, a probe aside."""
        self._reason = Reason.SILENCE
        self._until = 0.0
        self._ejected_at = 0.0
        self._repeats = 0
        self._failures = 0
        self._ignored = 0
        self._ignored_since = 0.0
        self._probing = False

    @property
    def failing(self) -> bool:
        """Whether it failed often enough in a row to be ejected; a probe may not fail at all."""
        return self._failures >= (1 if self._probing else self._policy.failures)

    def mute(self, now: float) -> bool:
        """Whether it let enough calls wait in vain to be ejected for silence.

        A call that was answered elsewhere is taken back, so that what is unanswered does not show it.
        """
        enough = 1 if self._probing else self._policy.ignored
        return self._ignored >= enough and now - self._ignored_since >= self._policy.ignored_seconds

    def eject(self, reason: Reason, now: float) -> None:
        """Ejects it, or ejects it again after a probe that came to nothing."""
        policy = self._policy
        if now - self._ejected_at > policy.forgive_seconds:
            self._repeats = 0
        # The exponent is bounded because a float is not.
        seconds = min(policy.ejection_seconds * 2.0 ** min(self._repeats, 30), policy.max_ejection_seconds)
        self.ejected = True
        self._reason = reason
        self._ejected_at = now
        self._until = now + seconds * self._uniform(0.8, 1.2)
        self._repeats += 1
        self._failures = self._ignored = 0
        self._probing = False

    def answered(self) -> None:
        """It answered well."""
        self._failures = 0
        self.ejected = self._probing = False

    def spoke(self) -> None:
        """It said something, whatever it was: it is not silent."""
        self._ignored = 0
        if self._reason is Reason.SILENCE:
            self.ejected = self._probing = False

    def failed(self) -> None:
        """A call to it failed, or it went away with calls unanswered."""
        self._failures += 1

    def ignored(self, since: float) -> None:
        """A call that it had since then was given up, and it said nothing all the while."""
        if not self._ignored:
            self._ignored_since = since
        self._ignored += 1

    def wants_probe(self, now: float) -> bool:
        """Whether its time is over; after a probe of which nothing was heard, in a second at the soonest."""
        return self.ejected and now >= self._until

    def probe(self, now: float) -> None:
        """One call is risked on it."""
        self._probing = True
        self._until = now + self._policy.unlearned_seconds

    @property
    def trusted(self) -> bool:
        """Whether its silence still says something: it is in use or probed."""
        return not self.ejected or self._probing
