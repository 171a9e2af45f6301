"""Which models may stay in memory: a budget in bytes, and who leaves when it is spent.

Pure accounting: the store loads and closes. A place is taken for what a model is expected to need, before
it is loaded, and corrected afterwards. When there is no room the least recently used of those that may
leave do; a model that does not fit even then is refused, with what it lacks.

The limit is that of this machine's memory. What is free on another device, such as a GPU, its driver knows
best: a load is refused there by what the driver says, and the budget knows who may leave that device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from trireme_common.errors import MachineError

HOST = "cpu"
"""The device whose memory is this machine's."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """Where room was missing."""

    device: str = HOST
    missing: int = 0
    """Bytes, as the device's driver counts them."""
    departures: int = 0
    """How often models had left the device, or come to rest there, when it was refused; those of `away` not
    counted."""
    away: frozenset[tuple[str, int]] = frozenset()
    """Models that had left the device for it, in vain."""
    again: float = 0.0
    """Clock of the store when another try is due whatever has happened, in seconds."""


class NoRoomError(MachineError):
    """A model does not fit into what memory the models may take; another time it may."""

    def __init__(self, detail: str, shortage: Shortage = Shortage()) -> None:
        super().__init__(detail)
        self.shortage = shortage


@dataclass(slots=True, eq=False)
class Place:
    """What one loaded version takes."""

    key: tuple[str, int]
    size: int
    """Bytes of this machine's memory, estimated."""
    pinned: bool = False
    resting: bool = False
    """Loaded and not about to be closed: it may be asked to leave."""
    used: float = 0.0
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    """Bytes by device, on others than HOST."""

    def on(self, device: str) -> int:
        """Bytes that it takes there."""
        return self.size if device == HOST else self.elsewhere.get(device, 0)


class MemoryBudget:
    """`limit` bytes for all places; None is no limit. `clock`: seconds, for the order of use."""

    def __init__(self, limit: int | None = None, clock: Callable[[], float] = lambda: 0.0) -> None:
        self._limit = limit
        self._clock = clock
        self._places: set[Place] = set()

    @property
    def limit(self) -> int | None:
        return self._limit

    @property
    def taken(self) -> int:
        """Bytes of this machine's memory that all places take."""
        return sum(place.size for place in self._places)

    def by_device(self) -> dict[str, int]:
        """Bytes of all places, of each device where one stands; HOST is always there."""
        devices = {HOST}.union(*(place.elsewhere for place in self._places))
        return {device: sum(place.on(device) for place in self._places) for device in sorted(devices)}

    def take(
        self, key: tuple[str, int], size: int, *, pinned: bool, swap: bool = False
    ) -> tuple[Place, list[Place]]:
        """A place of `size` bytes, and those that have to leave first; they are taken off at once.

        `swap` says that it may turn out bad: the other versions of its model stay.

        Raises NoRoomError where it does not fit although all leave that may; then none does.
        """
        leaving: list[Place] = []
        if self._limit is not None:
            missing = self.taken + size - self._limit
            leaving, short = self._leaving(HOST, missing, staying=key[0] if swap else None)
            if short > 0:
                raise NoRoomError(
                    f"does not fit into memory: it needs about {_shown(size)}, {_shown(short)} more than is "
                    f"left of the {_shown(self._limit)} for models beside those that are pinned or in "
                    "exchange; raise TRIREME_INFERENCE_MODELS_MEMORY_BYTES and the container's memory, or "
                    "serve fewer models"
                )
        self._places.difference_update(leaving)
        place = Place(key, size, pinned, used=self._clock())
        self._places.add(place)
        return place, leaving

    def clear(self, place: Place, refusal: NoRoomError, *, swap: bool = False) -> list[Place]:
        """Those that have to leave the device that refused `place`; they are taken off at once. `swap` as
        in `take`. Raises `refusal` where what they take there is less than is missing; then none leaves."""
        shortage = refusal.shortage
        staying = place.key[0] if swap else None
        leaving, short = self._leaving(shortage.device, shortage.missing, staying=staying)
        if short > 0:
            raise refusal
        self._places.difference_update(leaving)
        return leaving

    def overrun(self, place: Place) -> list[Place]:
        """Those that have to leave because `place` turned out to take more than was expected; they are taken
        off at once. It stays itself, and so do the other versions of its model, even if that is too much.
        """
        if self._limit is None:
            return []
        leaving, _ = self._leaving(HOST, self.taken - self._limit, staying=place.key[0])
        self._places.difference_update(leaving)
        return leaving

    def use(self, place: Place) -> None:
        """It is used now."""
        place.used = self._clock()

    def free(self, place: Place) -> None:
        """What stood there is gone."""
        self._places.discard(place)

    def _leaving(self, device: str, missing: int, *, staying: str | None) -> tuple[list[Place], int]:
        """The least recently used of those that may leave a device, as many as make up for `missing` bytes;
        and what is missing even then, if that is more than 0."""
        resting = [
            place
            for place in self._places
            if place.resting and not place.pinned and place.key[0] != staying and place.on(device)
        ]
        leaving = []
        for place in sorted(resting, key=lambda place: place.used):
            if missing <= 0:
                break
            leaving.append(place)
            missing -= place.on(device)
        return leaving, missing


def _shown(size: int) -> str:
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
