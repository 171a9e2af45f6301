"""Whether and when a refused call is made again. Nothing here waits or sends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from trireme_client.errors import DeadlineExceeded, TriremeError

Clock = Callable[[], float]
Random = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Retries:
    """How a client makes refused calls again.

    The budget is a token bucket that all calls of a client share: it starts with `reserve` tokens and
    holds no more, every call adds `share`, every retry takes one. While the platform refuses
    everything, retries are thus at most `share` of the calls, and do not make its trouble worse.
    """

    attempts: int = 4
    """Most tries of one call, the first included; 1 makes none again."""
    share: float = 0.2
    """Retries that one call earns."""
    reserve: float = 10.0
    """Retries that may be made at once after quiet times."""
    first_pause_seconds: float = 0.1
    """The pause before try n is between 0 and this times 2^(n-2), at random, so that the callers of a
    platform that comes back do not all return at once."""
    longest_pause_seconds: float = 5.0


class RetryBudget:
    """The token bucket of a client; safe to share between threads."""

    def __init__(self, share: float, reserve: float) -> None:
        self._share = share
        self._reserve = reserve
        self._tokens = reserve
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A call was made."""
        with self._lock:
            self._tokens = min(self._reserve, self._tokens + self._share)

    def spend(self) -> bool:
        """Takes one retry; False where none is left."""
        with self._lock:
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class Attempts:
    """The tries of one call, within its time."""

    def __init__(
        self,
        retries: Retries,
        budget: RetryBudget,
        seconds: float,
        request_id: str,
        clock: Clock,
        random: Random,
    ) -> None:
        """`seconds` is the time of all tries and pauses together; `random` gives numbers from 0 to 1."""
        self.request_id = request_id
        self._retries = retries
        self._budget = budget
        self._clock = clock
        self._random = random
        self._seconds = seconds
        self._deadline = clock() + seconds
        self._made = 1
        budget.earn()

    def remaining(self) -> float:
        """Seconds that are left. Raises DeadlineExceeded where there are none."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> DeadlineExceeded:
        """The failure of a call whose time is up."""
        return DeadlineExceeded(
            f"the call was not answered within {self._seconds:g} s",
            code="deadline_exceeded",
            request_id=self.request_id,
        )

    def pause(self, error: TriremeError) -> float:
        """Seconds until the next try. Raises `error` where there is none: it is of a kind that is not
        retried, the tries or the budget are used up, or the pause would outlast the call's time."""
        if not error.retryable or self._made >= self._retries.attempts:
            raise error
        longest = self._retries.first_pause_seconds * 2.0 ** (self._made - 1)
        pause = min(longest, self._retries.longest_pause_seconds) * self._random()
        pause += error.retry_after_seconds or 0.0
        if self._clock() + pause >= self._deadline or not self._budget.spend():
            raise error
        self._made += 1
        return pause
