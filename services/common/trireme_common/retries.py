"""When a load that a device had no room for is worth another try: it is dear, and others may leave for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from trireme_common.memory import HOST, Shortage

_Key = tuple[str, int]
Departures = Mapping[tuple[str, _Key], int]

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 3600.0


class Retries:
    """What has come and gone on each device. `clock`: seconds.

    A load is tried again once a model has left the device since, or may be asked to. Those that had to leave
    for it when it was refused do not count: whether they are back or not, there is no more room than there
    was without them. As others than these models use a device too, and a driver may take its time to tell
    what is free, it is tried again after a pause anyway, which doubles.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._departures: Counter[tuple[str, _Key]] = Counter()
        self._refusals: Counter[_Key] = Counter()

    def freed(self, key: _Key, devices: Iterable[str]) -> None:
        """A model left them, or may be asked to by now."""
        self._departures.update((device, key) for device in devices)

    def so_far(self) -> Departures:
        """To be asked for before a load, and given to `refused` after it."""
        return self._departures.copy()

    def loaded(self, key: _Key) -> None:
        """There was room for it."""
        del self._refusals[key]

    def refused(
        self, key: _Key, shortage: Shortage, before: Departures, away: frozenset[_Key] | None
    ) -> Shortage:
        """The shortage of a load, with what `may_fit` needs. `away`: those that had left the device for it;
        None where none was asked to yet."""
        if away is None:
            self._refusals[key] += 1
            away = frozenset()
        # An exponent without a bound would overflow.
        pause = FIRST_PAUSE_SECONDS * 2 ** min(self._refusals[key] - 1, 20)
        return replace(
            shortage,
            departures=_count(before, shortage.device, away),
            away=away,
            again=self._clock() + min(pause, LONGEST_PAUSE_SECONDS),
        )

    def may_fit(self, shortage: Shortage | None) -> bool:
        """Whether there may be room by now where it was missing; False where none was. Another try costs next
        to nothing in this machine's memory, and a whole load elsewhere."""
        if shortage is None:
            return False
        departures = _count(self._departures, shortage.device, shortage.away)
        return shortage.device == HOST or departures != shortage.departures or self._clock() >= shortage.again


def _count(departures: Departures, device: str, away: frozenset[_Key]) -> int:
    return sum(count for (where, key), count in departures.items() if where == device and key not in away)
