"""Servables in memory: loaded within a budget, closed when another needs their place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

import structlog

from trireme_common.memory import HOST, MemoryBudget, NoRoomError, Place, Shortage
from trireme_common.repository import MODEL_FILES, VersionFiles
from trireme_common.retries import Retries
from trireme_common.stage_state import ModelDescriptor

logger = structlog.get_logger(__name__)

Key = tuple[str, int]


class Servable(Protocol):
    """A loaded version: what a stage runs, and what it says of it.

    A servable may have `notes` (str): what of the spec is not honoured although it serves. They are
    published as the reason of the READY version. It may have `held` (Mapping[str, int]): the bytes that it
    was found to take once it was loaded, by device; HOST is this machine's memory.
    """

    @property
    def descriptor(self) -> ModelDescriptor: ...

    async def close(self) -> None:
        """Finishes what is queued and frees everything."""


class MemoryObserver(Protocol):
    """Told of what comes and goes."""

    def loaded(self, model: str, version: str, seconds: float) -> None: ...

    def evicted(self, model: str, version: str) -> None: ...

    def holds(self, sizes: Mapping[str, int], limit: int | None) -> None:
        """The models are estimated to take `sizes` bytes, by device; `limit` is that of HOST."""


class NoObserver:
    """MemoryObserver that does nothing."""

    def loaded(self, model: str, version: str, seconds: float) -> None: ...

    def evicted(self, model: str, version: str) -> None: ...

    def holds(self, sizes: Mapping[str, int], limit: int | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Needs:
    """What loading a version is expected to need."""

    size: int
    """Bytes of this machine's memory."""
    alone: bool = False
    """It stands on a device whose driver knows what is free there only once a load has ended: it is loaded
    while no other is that stands on one."""


def footprint(files: VersionFiles) -> int:
    """Bytes of a version's weights, or of all its files where it has none."""
    sizes = [(path.name, path.stat().st_size) for path in files.files()]
    weights = sum(size for name, size in sizes if name in MODEL_FILES)
    return weights or sum(size for _, size in sizes)


T = TypeVar("T", bound=Servable)
R = TypeVar("R")


class Shelf(Generic[T]):
    """`load` and `needs` run in a thread. `hide` takes a servable that has to leave from those that are
    found.

    A place is taken for what a version needs, and is corrected by what it held once it was loaded. Where a
    device has too little memory left by its driver's word, others leave it, and the load is tried again once.
    """

    def __init__(
        self,
        load: Callable[[VersionFiles], T],
        hide: Callable[[Key, T], None],
        *,
        budget: MemoryBudget | None = None,
        observer: MemoryObserver | None = None,
        needs: Callable[[VersionFiles], Needs] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._hide = hide
        self._budget = budget or MemoryBudget()
        self._observer = observer or NoObserver()
        self._needs = needs or (lambda files: Needs(footprint(files)))
        self._clock = clock
        self._alone = asyncio.Lock()
        self._places: dict[T, Place] = {}
        self._retries = Retries(clock)
        self._closing: set[asyncio.Task[None]] = set()
        self._unsettled: set[Place] = set()
        self._settled = asyncio.Event()

    async def load(self, key: Key, files: VersionFiles, *, swap: bool = False) -> T:
        """Raises NoRoomError, and whatever the loading raises. `swap`: as `MemoryBudget.take`.

        Who finds no room waits as long as something is loaded that nobody has used yet.
        """
        needs = await asyncio.to_thread(self._needs, files)
        turn: AbstractAsyncContextManager[object] = self._alone if needs.alone else nullcontext()
        async with turn:
            place, leaving = await self._room(
                partial(self._budget.take, key, needs.size, pinned=files.spec.memory.pinned, swap=swap)
            )
            self._unsettled.add(place)
            try:
                await self._let_go(leaving)
                return await self._filled(place, files, swap=swap)
            except BaseException:
                self._give_up(place)
                raise

    async def _filled(self, place: Place, files: VersionFiles, *, swap: bool) -> T:
        started = self._clock()
        servable = await self._loaded(place, files, swap=swap)
        held: Mapping[str, int] = getattr(servable, "held", {})
        place.size = held.get(HOST, place.size)
        place.elsewhere = {device: size for device, size in held.items() if device != HOST}
        self._places[servable] = place
        seconds = self._clock() - started
        model, version = place.key
        logger.info("model_loaded", model=model, version=version, seconds=round(seconds, 3), bytes=place.size)
        self._observer.loaded(model, str(version), seconds)
        self._tell()
        return servable

    async def _loaded(self, place: Place, files: VersionFiles, *, swap: bool) -> T:
        """Makes room on each device that refuses the load for want of it, once."""
        cleared: dict[str, frozenset[Key]] = {}
        while True:
            before = self._retries.so_far()
            try:
                servable = await asyncio.to_thread(self._load, files)
            except NoRoomError as error:
                refusal = error.with_traceback(None)  # its frames would live as long as this one
            else:
                self._retries.loaded(place.key)
                return servable
            device = refusal.shortage.device
            refusal.shortage = self._retries.refused(place.key, refusal.shortage, before, cleared.get(device))
            if device in cleared:
                raise refusal
            self._settle(place)  # it holds nothing now, and nobody is to wait for it
            leaving = await self._room(partial(self._budget.clear, place, refusal, swap=swap))
            cleared[device] = frozenset(left.key for left in leaving)
            self._unsettled.add(place)
            await self._let_go(leaving)

    async def _room(self, choose: Callable[[], R]) -> R:
        while True:
            try:
                return choose()
            except NoRoomError:
                if not self._unsettled:
                    raise
                await self._settled.wait()  # what is being loaded may leave when it was used

    def may_fit(self, shortage: Shortage | None) -> bool:
        """As `Retries.may_fit`."""
        return self._retries.may_fit(shortage)

    def _give_up(self, place: Place) -> None:
        self._budget.free(place)
        self._settle(place)

    def _settle(self, place: Place) -> None:
        self._unsettled.discard(place)
        self._settled.set()
        self._settled = asyncio.Event()

    def use(self, servable: T) -> None:
        """It is asked now."""
        self._budget.use(self._places[servable])

    def rest(self, servable: T, resting: bool) -> None:
        """Says whether it may be asked to leave; to be said of everything that was loaded."""
        place = self._places.get(servable)
        if place is None or (resting and place.resting):
            return
        place.resting = resting
        self._settle(place)
        if resting:
            self._retries.freed(place.key, place.elsewhere)
            # Loads that overlapped may together hold more than each of them was expected to.
            self._leave(self._budget.overrun(place))

    async def close(self, servable: T) -> None:
        """Frees it; one that cannot be freed must not keep others from being loaded."""
        place = self._places.pop(servable, None)
        if place is None:
            return  # it has left already
        try:
            await servable.close()
        except Exception:
            logger.exception("model_close_failed")
        finally:
            self._give_up(place)
            self._retries.freed(place.key, place.elsewhere)
            self._tell()

    async def _let_go(self, leaving: Iterable[Place]) -> None:
        """Returns when they are gone."""
        if closing := self._leave(leaving):
            await asyncio.shield(closing)

    def _leave(self, leaving: Iterable[Place]) -> asyncio.Task[None] | None:
        """Nobody finds them from now on; the task closes them."""
        going = [servable for servable, place in self._places.items() if place in leaving]
        if not going:
            return None
        for servable in going:
            key = self._places[servable].key
            logger.info("model_evicted", model=key[0], version=key[1])
            self._hide(key, servable)
            self._observer.evicted(key[0], str(key[1]))
        closing = asyncio.create_task(self._close_all(going))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return closing

    async def _close_all(self, going: Iterable[T]) -> None:
        for servable in going:
            await self.close(servable)

    async def settle(self) -> None:
        """Returns when everything that had to leave is gone."""
        await asyncio.gather(*self._closing)

    def _tell(self) -> None:
        self._observer.holds(self._budget.by_device(), self._budget.limit)
