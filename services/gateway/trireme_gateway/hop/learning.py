"""What a hop learns from the answers of each model version: when to hedge, what silence is too long, what
is worth an endpoint of its own, and what is worth a message of its own.

    share   = max(1, floor(1 ms / t)), t the moving mean (0.1) of an item's time in the stage; 1 at first
    gathers = t < 2 ms, or the last item waited in the stage's queue for as long as it then ran

Below a millisecond of work, waking one more endpoint costs more than it saves (workload `growth` of the
benchmarks). An item of 2 ms costs ten times what its message does, and a stage that has not got it cannot
give it to an instance that is idle; it may as well wait here while it would wait there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trireme_gateway.hop.answer_times import AnswerTimes
from trireme_gateway.hop.hedge import hedge_delay
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.ports import Key

_MOST_VERSIONS = 256  # models come and go; the oldest is forgotten
_SHARE_SECONDS = 0.001
_LONG_SECONDS = 0.002
_NEW = 0.1


class _Version:
    __slots__ = ("backlog", "delay", "item_seconds", "silence", "times")

    def __init__(self, policy: OutlierPolicy) -> None:
        self.times = AnswerTimes()
        self.item_seconds = 0.0
        self.backlog = False
        self.refresh(policy)

    def refresh(self, policy: OutlierPolicy) -> None:
        self.delay = hedge_delay(self.times)
        self.silence = policy.silence_limit(self.times)


class Learning:
    """Keeps the results of the formulas, because a call asks for them and they seldom change."""

    def __init__(self, policy: OutlierPolicy) -> None:
        self._policy = policy
        self._versions: dict[Key, _Version] = {}

    def answered(self, key: Key, seconds: float) -> None:
        """Takes the time of one sound answer."""
        version = self._at(key)
        if version.times.add(seconds):
            version.refresh(self._policy)

    def ran(self, key: Key, times: Sequence[tuple[int, int]]) -> None:
        """Takes how long items that were answered together waited in the stage and how long they then ran.

        In microseconds. Items of one run say its whole time each, and so the same.
        """
        version = self._at(key)
        seconds = sum({compute_us for _, compute_us in times}) / len(times) / 1e6
        old = version.item_seconds
        version.item_seconds = old + _NEW * (seconds - old) if old else seconds
        version.backlog = times[-1][0] >= times[-1][1]

    def share(self, key: Key) -> int:
        """Fewer items than these are not divided among endpoints."""
        seconds = self._at(key).item_seconds
        return max(1, int(_SHARE_SECONDS / seconds)) if seconds else 1

    def gathers(self, key: Key) -> bool:
        """Whether what waits for that version gathers while messages of it are under way."""
        version = self._at(key)
        return version.item_seconds < _LONG_SECONDS or version.backlog

    def hedge_delay(self, key: Key) -> float:
        """Seconds after which a call is asked elsewhere too."""
        return self._at(key).delay

    def silence_limit(self, keys: Iterable[Key]) -> float:
        """Seconds of silence that are too long for an endpoint with work of these versions."""
        return max((self._at(key).silence for key in keys), default=self._policy.silence_seconds)

    def _at(self, key: Key) -> _Version:
        version = self._versions.get(key)
        if version is None:
            if len(self._versions) == _MOST_VERSIONS:
                del self._versions[next(iter(self._versions))]
            version = self._versions[key] = _Version(self._policy)
        return version
