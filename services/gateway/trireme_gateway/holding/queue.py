"""Who waits for which model, in the order of arrival. No event loop, no clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(eq=False, frozen=True, slots=True)
class Place:
    """One request in the queue. Times are in seconds of one monotonic clock."""

    model: str
    since: float
    until: float
    """When it gives up."""
    size: int
    """Bytes of its body."""


class HoldQueue:
    """Places of all models, first come first served, at most `max_requests` with `max_bytes` together."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._bytes = 0
        self._places: dict[Place, None] = {}
        self._depths: Counter[str] = Counter()
        self._peaks: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Place]:
        """In the order of arrival."""
        return iter(tuple(self._places))

    def enter(self, model: str, now: float, until: float, size: int = 0) -> Place | None:
        """A place until `until`, or None where the queue is full, or where there is no time to wait."""
        self._peaks[model] = max(self._peaks.get(model, 0), self._depths[model] + 1)
        full = len(self._places) >= self._max_requests or self._bytes + size > self._max_bytes
        if full or until <= now:
            return None
        place = Place(model, now, until, size)
        self._places[place] = None
        self._depths[model] += 1
        self._bytes += size
        return place

    def leave(self, place: Place) -> None:
        """Frees a place; one that has been freed already is passed over."""
        if place in self._places:
            del self._places[place]
            self._depths[place.model] -= 1
            self._bytes -= place.size

    def depth(self, model: str) -> int:
        """Requests that wait for a model now."""
        return self._depths[model]

    def models(self) -> set[str]:
        """Those that a request waits for."""
        return {model for model, depth in self._depths.items() if depth}

    def oldest(self) -> Mapping[str, float]:
        """When the request came that has waited longest, by model."""
        found: dict[str, float] = {}
        for place in self._places:
            found.setdefault(place.model, place.since)
        return found

    def take_peaks(self) -> Mapping[str, int]:
        """The most requests that waited for each model, or would have if there had been room, since this
        was last asked."""
        peaks = {model: max(peak, self._depths[model]) for model, peak in self._peaks.items()}
        self._peaks = {model: depth for model, depth in self._depths.items() if depth}
        return peaks
