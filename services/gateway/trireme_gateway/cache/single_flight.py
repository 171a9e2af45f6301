"""One computation a key a process, for requests that ask for many keys at once.

A request boards with its keys. Keys that nobody is computing become one group, run by a task of its own;
for the others it joins the group that has them. So the client of the request that started a group may leave
without hurting those who joined, and a group that nobody waits for any more is cancelled.

Errors: a deterministic one (the predicate says so) would be everybody's and is shared. After any other, which
may be the leader's alone (its deadline, its upstream), those who joined board once more: the first of them
leads, and what comes of that second computation stands for all. So a hundred joiners of a failing leader
cause one more computation, not a hundred, and none of them waits for more than two.

Freshness: a stored answer may land a flight only if everybody aboard takes it as old as it is.

Nothing here holds a lock: a boarding, a landing and a departure each happen between two awaits.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from typing import NamedTuple

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_gateway.cache.freshness import FRESH, Freshness, Held

logger = structlog.get_logger(__name__)

Outcome = bytes | TriremeError


class Origin(Enum):
    """Where an outcome came from."""

    COMPUTED = "computed"
    FOUND = "found"
    """It was in the store when it was asked for."""
    AWAITED = "awaited"
    """Another gateway was computing it."""


class Landing(NamedTuple):
    """What became of a key for one request."""

    outcome: Outcome
    origin: Origin
    led: bool
    """This request's own group asked for it."""
    left: float
    """Of a stored answer: seconds of its time to live, 0 or less where it is stale."""


class _Flight:
    __slots__ = ("group", "left", "origin", "outcome", "tickets")

    def __init__(self, group: Group) -> None:
        self.group = group
        self.tickets: set[_Ticket] = set()
        self.outcome: Outcome | None = None
        self.origin = Origin.COMPUTED
        self.left = math.inf


class Group:
    """Keys that one task answers; the task calls `land` for each."""

    def __init__(self, flights: dict[bytes, _Flight]) -> None:
        self._flights = flights
        self._pending: dict[bytes, _Flight] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def pending(self) -> list[bytes]:
        """Keys without an outcome, in the order of boarding."""
        return list(self._pending)

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for a pending key."""
        return any(flight.tickets for flight in self._pending.values())

    def wanted_of(self, keys: Iterable[bytes]) -> list[bytes]:
        """Those of `keys` that are pending and that anybody waits for."""
        return [key for key in keys if key in self._pending and self._pending[key].tickets]

    def takes(self, key: bytes, held: Held) -> bool:
        """Whether all who wait for a pending key take a stored answer that old."""
        return all(ticket.freshness.takes(held) for ticket in self._pending[key].tickets)

    def land(
        self, key: bytes, outcome: Outcome, *, origin: Origin = Origin.COMPUTED, left: float = math.inf
    ) -> None:
        """Gives the outcome of a pending key to all who wait for it."""
        flight = self._pending.pop(key)
        self._forget(key, flight)
        flight.outcome = outcome
        flight.origin = origin
        flight.left = left
        for ticket in flight.tickets:
            ticket.landed()

    def add(self, key: bytes) -> _Flight:
        flight = self._flights[key] = self._pending[key] = _Flight(self)
        return flight

    def start(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def fail(self, error: TriremeError) -> None:
        for key in self.pending:
            self.land(key, error)

    def cancel_unwanted(self) -> None:
        """Cancels the task if nobody waits; whoever asks for the keys from now on starts afresh."""
        if self._task is not None and self._pending and not self.wanted:
            for key, flight in self._pending.items():
                self._forget(key, flight)
            self._task.cancel()

    def _forget(self, key: bytes, flight: _Flight) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


class _Ticket:
    """A request's place on its flights: one future, however many keys."""

    def __init__(self, freshness: Freshness) -> None:
        self.freshness = freshness
        self.flights: dict[bytes, tuple[_Flight, bool]] = {}
        self._missing = 0
        self._complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def board(self, key: bytes, flight: _Flight, *, led: bool) -> None:
        self.flights[key] = (flight, led)
        flight.tickets.add(self)
        self._missing += 1

    def landed(self) -> None:
        self._missing -= 1
        if not self._missing and not self._complete.done():
            self._complete.set_result(None)

    async def wait(self, deadline: float | None) -> dict[bytes, Landing]:
        """Raises TimeoutError at `deadline`, a time of the loop."""
        # A timer of its own: `asyncio.timeout` costs as much as the boarding does.
        timer = None
        if deadline is not None:
            timer = asyncio.get_running_loop().call_at(deadline, self._expire)
        try:
            await self._complete
        except (asyncio.CancelledError, TimeoutError):
            self._leave()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        landings = {}
        for key, (flight, led) in self.flights.items():
            assert flight.outcome is not None  # every flight of a complete ticket has landed
            landings[key] = Landing(flight.outcome, flight.origin, led, flight.left)
        return landings

    def _expire(self) -> None:
        if not self._complete.done():
            self._complete.set_exception(TimeoutError())

    def _leave(self) -> None:
        groups = set()
        for flight, _ in self.flights.values():
            if flight.outcome is None:
                flight.tickets.discard(self)
                groups.add(flight.group)
        for group in groups:
            group.cancel_unwanted()


Run = Callable[[Group], Awaitable[None]]


class SingleFlight:
    """The computations under way in this process."""

    def __init__(self, is_shareable: Callable[[TriremeError], bool]) -> None:
        """`is_shareable` tells whether an error would be the same for everybody who asks for the key."""
        self._is_shareable = is_shareable
        self._flights: dict[bytes, _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def fly(
        self,
        keys: Iterable[bytes],
        run: Run,
        freshness: Freshness = FRESH,
        *,
        wait_seconds: float | None = None,
    ) -> dict[bytes, Landing]:
        """Outcomes of distinct `keys`, at least one, for a request that takes stored answers of `freshness`.

        `run` is awaited, in a task of its own, for those that nobody is computing, and a second time where
        a joined computation failed with an error that is not shared. What it raises becomes the error of the
        keys that it leaves pending. Raises TimeoutError where both together take longer than `wait_seconds`.
        """
        deadline = None if wait_seconds is None else asyncio.get_running_loop().time() + wait_seconds
        landings = await self._board(keys, run, freshness).wait(deadline)
        again = [key for key, landing in landings.items() if self._is_anothers(landing)]
        if again and not self._closed:
            landings.update(await self._board(again, run, freshness).wait(deadline))
        return landings

    async def close(self) -> None:
        """Cancels every computation; those who wait get a TriremeError of code CANCELLED."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_anothers(self, landing: Landing) -> bool:
        error = landing.outcome
        return isinstance(error, TriremeError) and not landing.led and not self._is_shareable(error)

    def _board(self, keys: Iterable[bytes], run: Run, freshness: Freshness) -> _Ticket:
        ticket = _Ticket(freshness)
        group = Group(self._flights)
        for key in keys:
            flight = self._flights.get(key)
            if flight is None:
                ticket.board(key, group.add(key), led=True)
            else:
                ticket.board(key, flight, led=False)
        if group.pending:
            task = asyncio.create_task(_answer(group, run))
            group.start(task)
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._ended(done, group))
        return ticket

    def _ended(self, task: asyncio.Task[None], group: Group) -> None:
        self._tasks.discard(task)
        if group.pending:
            group.fail(TriremeError(Code.CANCELLED, "the computation was cancelled"))


async def _answer(group: Group, run: Run) -> None:
    try:
        await run(group)
    except TriremeError as error:
        group.fail(error)
    except Exception:  # the last guard of the task: the requests learn it, the log keeps the traceback
        logger.exception("computation_failed")
        group.fail(TriremeError(Code.INTERNAL, "internal error"))
