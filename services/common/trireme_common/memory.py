"""Which models may stay in memory: a budget in bytes, and who leaves when it is spent.

Pure accounting: the store loads and closes. A place is taken for what a model is expected to need, before
it is loaded, and corrected afterwards. When there is no room the least recently used of those that may
leave do; a model that does not fit even then is refused, with what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from trireme_common.errors import Code, TriremeError


class NoRoomError(TriremeError):
    """A model does not fit into what memory the models may take."""

    def __init__(self, detail: str) -> None:
        super().__init__(Code.MODEL_NOT_READY, detail)


@dataclass(slots=True, eq=False)
class Place:
    """What one loaded version takes."""

    key: tuple[str, int]
    size: int
    """Bytes, estimated."""
    pinned: bool = False
    resting: bool = False
    """Loaded and not about to be closed: it may be asked to leave."""
    used: float = 0.0


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
        """Bytes of all places."""
        return sum(place.size for place in self._places)

    def take(
        self, key: tuple[str, int], size: int, *, pinned: bool, swap: bool = False
    ) -> tuple[Place, list[Place]]:
        """A place of `size` bytes, and those that have to leave first; they are taken off at once.

        `swap` says that it may turn out bad: the other versions of its model stay.

        Raises NoRoomError where it does not fit although all leave that may; then none does.
        """
        staying = key[0] if swap else None
        leaving = list(self._make_room(size, staying)) if self._limit is not None else []
        self._places.difference_update(leaving)
        place = Place(key, size, pinned, used=self._clock())
        self._places.add(place)
        return place, leaving

    def use(self, place: Place) -> None:
        """It is used now."""
        place.used = self._clock()

    def free(self, place: Place) -> None:
        """What stood there is gone."""
        self._places.discard(place)

    def _make_room(self, size: int, staying: str | None) -> Iterator[Place]:
        assert self._limit is not None
        missing = self.taken + size - self._limit
        resting = sorted(
            (
                place
                for place in self._places
                if place.resting and not place.pinned and place.key[0] != staying
            ),
            key=lambda place: place.used,
        )
        short = missing - sum(place.size for place in resting)
        if short > 0:
            raise NoRoomError(
                f"does not fit into memory: it needs about {_shown(size)}, {_shown(short)} more than is left "
                f"of the {_shown(self._limit)} for models beside those that are pinned or in exchange; raise "
                "TRIREME_INFERENCE_MODELS_MEMORY_BYTES and the container's memory, or serve fewer models"
            )
        for place in resting:
            if missing <= 0:
                return
            missing -= place.size
            yield place


def _shown(size: int) -> str:
    for unit, scale in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"
