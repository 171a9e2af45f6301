"""How often a hop may ask again: retries and hedges come out of one bucket.

Over a sliding window of 10 s, with n calls and p the most calls that one endpoint left unanswered at once,

    repeats allowed = fraction * n + max(floor, p)

The first term bounds what repeats add to the load, whatever fails (1.2 calls a request). The second
is a reserve: an endpoint that dies takes everything it had under way with it, and all of that must
be asked elsewhere at once, however few calls came before. What was spent comes back when the second
in which it was spent leaves the window.
"""

from __future__ import annotations

from dataclasses import dataclass

_SLOTS = 10
_SLOT_SECONDS = 1.0


@dataclass(slots=True)
class _Slot:
    number: int = -1
    calls: int = 0
    repeats: int = 0
    peak: int = 0


class RetryBudget:
    """`now` is in seconds of any monotonic clock."""

    def __init__(self, *, fraction: float = 0.2, floor: int = 10) -> None:
        self._fraction = fraction
        self._floor = floor
        self._slots = [_Slot() for _ in range(_SLOTS)]
        self._current = self._slots[0]

    def called(self, now: float, requests: int = 1) -> None:
        """A call of so many requests was made for the first time."""
        self._at(now).calls += requests

    def note_under_way(self, now: float, calls: int) -> None:
        """An endpoint fell silent or went away with that many calls."""
        slot = self._at(now)
        slot.peak = max(slot.peak, calls)

    def take(self, now: float, requests: int = 1) -> bool:
        """Whether a call of so many requests may be repeated; if so, the repeat is paid for, the last one on
        credit: what travels together is not worth taking apart."""
        slot = self._at(now)
        if self.left(now) < 1:
            return False
        slot.repeats += requests
        return True

    def left(self, now: float) -> float:
        """Repeats that may be made now; 0 and less where there are none."""
        oldest = int(now / _SLOT_SECONDS) - _SLOTS
        calls = repeats = peak = 0
        for slot in self._slots:
            if slot.number > oldest:
                calls += slot.calls
                repeats += slot.repeats
                peak = max(peak, slot.peak)
        if not self._fraction:
            return 0.0
        return self._fraction * calls + max(self._floor, peak) - repeats

    def _at(self, now: float) -> _Slot:
        number = int(now / _SLOT_SECONDS)
        if self._current.number != number:
            self._current = self._slots[number % _SLOTS] = _Slot(number)
        return self._current
