"""Holds requests for models that are asleep, until inference has an endpoint that serves them.

A request comes here only after its model could not be resolved, so one whose model is awake never does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from trireme_common.errors import TriremeError
from trireme_gateway.catalog import Asleep, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.holding.observer import Ending, HoldObserver, NoHoldObserver
from trireme_gateway.holding.queue import HoldQueue, Place

_WHY: dict[Ending, str] = {
    "full": "as many requests as may be held wait already",
    "late": "it was not there in time",
}


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """How much one process holds."""

    max_requests: int = 0
    """0 holds nothing."""
    max_seconds: float = 30.0
    max_bytes: int = 64 * 1024 * 1024


class Holding:
    """Belongs to one event loop. `asleep` says whether a model still is; `clock` is monotonic."""

    def __init__(
        self,
        limits: HoldLimits | None = None,
        asleep: Callable[[str], bool] = lambda _: True,
        observer: HoldObserver | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or HoldLimits()
        self._asleep = asleep
        self._observer = observer or NoHoldObserver()
        self._clock = clock
        self._closed = False
        self.queue = HoldQueue(self._limits.max_requests, self._limits.max_bytes)
        self._waiting: dict[Place, asyncio.Future[None]] = {}

    @property
    def enabled(self) -> bool:
        return self._limits.max_requests > 0

    async def route(
        self, asleep: Asleep, find: Callable[[], Route], context: RequestContext, size: int = 0
    ) -> Route:
        """What `find`, which raised `asleep`, returns once the model is awake. `size` is the request's bytes.

        Raises `asleep` where nothing is held, the queue is full, or the time is over: the hold's own, or the
        request's. Raises what `find` raises where the model turns out to be unusable.
        """
        if not self.enabled or self._closed:
            raise asleep
        now = self._clock()
        until = min(now + self._limits.max_seconds, context.deadline)
        place = self.queue.enter(asleep.model, now, until, size)
        if place is None:
            raise self._turned_away(asleep, "late" if until <= now else "full")
        self._observer.depth(place.model, self.queue.depth(place.model))
        ending: Ending = "left"
        try:
            found = await self._served(place, asleep, find)
            ending = "served"
            return found
        except TimeoutError:
            ending = "late"
            raise _because(asleep, "late") from None
        except TriremeError:
            ending = "refused"
            raise
        finally:
            self._leave(place, ending)

    async def _served(self, place: Place, asleep: Asleep, find: Callable[[], Route]) -> Route:
        while True:
            await self._woken(place)
            if self._closed:
                raise asleep
            try:
                return find()
            except Asleep as again:  # it went away again in the meantime; the place is kept
                asleep = again

    async def _woken(self, place: Place) -> None:
        """Returns once `look` finds the model awake. Raises TimeoutError at the end of the place's time."""
        self._waiting[place] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(place.until - self._clock()):
                await self._waiting[place]
        finally:
            del self._waiting[place]

    def _turned_away(self, asleep: Asleep, ending: Ending) -> Asleep:
        self._observer.ended(asleep.model, ending, 0.0)
        return _because(asleep, ending)

    def _leave(self, place: Place, ending: Ending) -> None:
        self.queue.leave(place)
        self._observer.depth(place.model, self.queue.depth(place.model))
        self._observer.ended(place.model, ending, self._clock() - place.since)

    def look(self) -> None:
        """The catalogue changed: those whose model is awake go on, in the order in which they came."""
        awake = {model for model in self.queue.models() if not self._asleep(model)}
        for place in self.queue if awake else ():
            if place.model in awake:
                self._wake(place)

    def close(self) -> None:
        """Refuses everyone who waits, and whoever comes from now on."""
        self._closed = True
        for place in self.queue:
            self._wake(place)

    def _wake(self, place: Place) -> None:
        waiting = self._waiting.get(place)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)


def _because(asleep: Asleep, ending: Ending) -> Asleep:
    return Asleep(asleep.code, f"{asleep.detail}; {_WHY[ending]}", asleep.model)
