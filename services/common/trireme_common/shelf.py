"""Servables in memory: loaded within a budget, closed when another needs their place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import structlog

from trireme_common.memory import MemoryBudget, NoRoomError, Place
from trireme_common.repository import MODEL_FILES, VersionFiles
from trireme_common.stage_state import ModelDescriptor

logger = structlog.get_logger(__name__)

Key = tuple[str, int]


class Servable(Protocol):
    """A loaded version: what a stage runs, and what it says of it.

    A servable may have `notes` (str): what of the spec is not honoured although it serves. They are
    published as the reason of the READY version.
    """

    @property
    def descriptor(self) -> ModelDescriptor: ...

    async def close(self) -> None:
        """Finishes what is queued and frees everything."""


class MemoryObserver(Protocol):
    """Told of what comes and goes."""

    def loaded(self, model: str, version: str, seconds: float) -> None: ...

    def evicted(self, model: str, version: str) -> None: ...

    def holds(self, size: int, limit: int | None) -> None:
        """The models are estimated to take `size` bytes, of `limit`."""


class NoObserver:
    """MemoryObserver that does nothing."""

    def loaded(self, model: str, version: str, seconds: float) -> None: ...

    def evicted(self, model: str, version: str) -> None: ...

    def holds(self, size: int, limit: int | None) -> None: ...


T = TypeVar("T", bound=Servable)


class Shelf(Generic[T]):
    """`load` runs in a thread. `hide` takes a servable that has to leave from those that are found.

    What a model needs is estimated from its files before it is loaded, and corrected upwards by what
    `measure` (bytes of this process) grew meanwhile, where nothing else was loaded.
    """

    def __init__(
        self,
        load: Callable[[VersionFiles], T],
        hide: Callable[[Key], None],
        *,
        budget: MemoryBudget | None = None,
        observer: MemoryObserver | None = None,
        measure: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._hide = hide
        self._budget = budget or MemoryBudget()
        self._observer = observer or NoObserver()
        self._measure = measure
        self._clock = clock
        self._bounded = self._budget.limit is not None
        self._places: dict[T, Place] = {}
        self._loading: set[Place] = set()
        self._unsettled: set[Place] = set()
        self._settled = asyncio.Event()

    async def load(self, key: Key, files: VersionFiles, *, swap: bool = False) -> T:
        """Raises NoRoomError, and whatever the loading raises. `swap`: as `MemoryBudget.take`.

        Who finds no room waits as long as something is loaded that nobody has used yet.
        """
        place = await self._take(key, files, swap=swap)
        alone = len(self._loading) == 1
        started = self._clock()
        try:
            servable, growth = await asyncio.to_thread(self._load_and_measure, files)
        except BaseException:
            self._give_up(place)
            raise
        if alone and len(self._loading) == 1:
            place.size = max(place.size, growth)
        self._places[servable] = place
        self._loading.discard(place)
        seconds = self._clock() - started
        logger.info("model_loaded", model=key[0], version=key[1], seconds=round(seconds, 3), bytes=place.size)
        self._observer.loaded(key[0], str(key[1]), seconds)
        self._tell()
        return servable

    def _load_and_measure(self, files: VersionFiles) -> tuple[T, int]:
        before = self._measure()
        servable = self._load(files)
        return servable, self._measure() - before

    async def _take(self, key: Key, files: VersionFiles, *, swap: bool) -> Place:
        size = await asyncio.to_thread(footprint, files)
        while True:
            try:
                place, leaving = self._budget.take(key, size, pinned=files.spec.memory.pinned, swap=swap)
            except NoRoomError:
                if not self._unsettled:
                    raise
                await self._settled.wait()  # what is being loaded may leave when it was used
            else:
                break
        self._loading.add(place)
        self._unsettled.add(place)
        try:
            await self._let_go(leaving)
        except BaseException:
            self._give_up(place)
            raise
        return place

    def _give_up(self, place: Place) -> None:
        self._budget.free(place)
        self._loading.discard(place)
        self._settle(place)

    def _settle(self, place: Place) -> None:
        self._unsettled.discard(place)
        self._settled.set()
        self._settled = asyncio.Event()

    def use(self, servable: T) -> None:
        """It is asked now."""
        if self._bounded:
            self._budget.use(self._places[servable])

    def rest(self, servable: T, resting: bool) -> None:
        """Says whether it may be asked to leave; to be said of everything that was loaded."""
        place = self._places.get(servable)
        if place is not None:
            place.resting = resting
            self._settle(place)

    async def close(self, servable: T) -> None:
        """Frees it; one that cannot be freed must not keep others from being loaded."""
        try:
            await servable.close()
        except Exception:
            logger.exception("model_close_failed")
        finally:
            self._give_up(self._places.pop(servable))
            self._tell()

    async def _let_go(self, leaving: list[Place]) -> None:
        for servable in [servable for servable, place in self._places.items() if place in leaving]:
            model, version = self._places[servable].key
            logger.info("model_evicted", model=model, version=version)
            self._hide((model, version))
            self._observer.evicted(model, str(version))
            await self.close(servable)

    def _tell(self) -> None:
        self._observer.holds(self._budget.taken, self._budget.limit)


def footprint(files: VersionFiles) -> int:
    """Bytes of a version's weights, or of all its files where it has none."""
    sizes = [(path.name, path.stat().st_size) for path in files.files()]
    weights = sum(size for name, size in sizes if name in MODEL_FILES)
    return weights or sum(size for _, size in sizes)
