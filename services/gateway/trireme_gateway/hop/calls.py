"""A call of one hop, and its legs: what of it which endpoint was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from trireme_common.errors import Code, TriremeError
from trireme_gateway.hop.ports import HopItem, Key, Taker

FAULTS = frozenset((Code.INTERNAL, Code.BACKEND_UNAVAILABLE))
"""Errors of an item that say more of the endpoint than of the item."""

_PERSONAL = FAULTS | {
    Code.OVERLOADED,
    Code.CANCELLED,
    Code.DEADLINE_EXCEEDED,
    Code.MODEL_NOT_FOUND,
    Code.MODEL_NOT_READY,
}
"""Errors that another endpoint, asked the same, may not give."""


class Carrier(Protocol):
    """The endpoint that has a leg."""

    def drop(self, leg: Leg, now: float) -> None:
        """Takes the leg back; what was sent of it is cancelled."""

    def withdraw(self, leg: Leg, items: Sequence[HopItem], now: float) -> None:
        """Takes some items of the leg back, of which others are left."""


class CallOwner(Protocol):
    """Who made the call."""

    def over(self, call: HopCall, now: float) -> None:
        """Every item has its outcome, or nobody waits for it."""


class Leg:
    """Some items of a call, at one endpoint."""

    __slots__ = (
        "call", "carrier", "first_id", "items", "key", "message", "refused", "remaining", "sound", "started",
    )  # fmt: skip

    def __init__(self, call: HopCall, items: Sequence[HopItem], carrier: Carrier, started: float) -> None:
        self.call = call
        self.key = call.key
        self.carrier = carrier
        self.items = items
        """In the order of their ids; those that were withdrawn after it was sent keep their places."""
        self.remaining = len(items)
        self.started = started
        self.first_id = 0
        """Id of the first item on its stream; the others follow it. 0 while the leg waits."""
        self.message: Any = None
        self.refused: set[HopItem] = set()
        """Items whose outcome was not taken, because another leg may do better."""
        self.sound = False
        """Whether any item was answered without a fault of the endpoint."""

    @property
    def sent(self) -> bool:
        return self.first_id > 0

    def covers(self, item: HopItem) -> bool:
        """Whether an outcome of that item may still come from here."""
        # Every leg was given all that its call lacked then: what the call still lacks is among its items.
        return item.call is self.call and item not in self.refused

    def covered(self, items: Sequence[HopItem]) -> list[HopItem]:
        """Those of some items that it covers."""
        mine = set(self.items).difference(self.refused)
        return [item for item in items if item in mine]


class HopCall:
    """Items of one model version that travel together. Each takes its first outcome, from whichever leg."""

    __slots__ = (
        "answered", "breaks", "hedge", "items", "key", "legs", "owner", "patience", "remaining", "taker",
        "timer", "tried",
    )  # fmt: skip

    def __init__(self, key: Key, items: Sequence[HopItem], taker: Taker, owner: CallOwner) -> None:
        self.key = key
        self.items = items
        self.taker = taker
        self.owner = owner
        self.remaining = len(items)
        for item in items:
            item.call = self
            item.outcome = None
        self.legs: list[Leg] = []
        """Legs that may still bring an outcome."""
        self.patience = 0.0
        """Seconds of waiting for an answer that are nothing unusual."""
        self.breaks = 0
        """Endpoints that went away while they had some of it."""
        self.tried: list[Carrier] = []
        """Endpoints that were sent some of it; none is asked twice."""
        self.answered = False
        """Whether any item has an endpoint's outcome."""
        self.hedge: Leg | None = None
        self.timer: asyncio.TimerHandle | None = None

    def take(
        self, leg: Leg, item: HopItem, outcome: bytes | TriremeError, queue_us: int, compute_us: int
    ) -> bool:
        """An outcome of an item of a leg; says whether the item has taken it."""
        if isinstance(outcome, bytes):
            leg.sound = True
        elif not self._takes_error(leg, item, outcome.code):
            return False
        if item.call is not self:
            return False
        item.outcome = outcome
        item.queue_us = queue_us
        item.compute_us = compute_us
        item.call = None
        self.answered = True
        self.remaining -= 1
        return True

    def _takes_error(self, leg: Leg, item: HopItem, code: Code) -> bool:
        if code not in FAULTS:
            leg.sound = True
        if (
            code in _PERSONAL
            and item.call is self
            and any(other is not leg and other.covers(item) for other in self.legs)
        ):
            leg.refused.add(item)
            return False
        return True

    def missing(self) -> list[HopItem]:
        """Items without an outcome."""
        return [item for item in self.items if item.call is self]

    def uncovered(self) -> list[HopItem]:
        """Items without an outcome that no leg will bring."""
        found = self.missing()
        for leg in self.legs:
            there = set(leg.covered(found))
            found = [item for item in found if item not in there]
        return found

    def split(self, items: Sequence[HopItem], now: float) -> HopCall:
        """Some items that no leg covers, as a call of their own with the same past."""
        part = HopCall(self.key, items, self.taker, self.owner)
        part.breaks = self.breaks
        part.tried = list(self.tried)
        self.remaining -= len(items)
        if not self.remaining:
            self.owner.over(self, now)
        return part

    def withdraw(self, items: Sequence[HopItem], now: float) -> None:
        """Nobody waits for these items of it any more; none of them has its outcome."""
        for item in items:
            item.call = None
        self.remaining -= len(items)
        if not self.remaining:
            self.owner.over(self, now)
            return
        for leg in tuple(self.legs):
            covered = leg.covered(items)
            if not covered:
                continue
            if len(covered) < leg.remaining:
                leg.carrier.withdraw(leg, covered, now)
            else:
                self.legs.remove(leg)
                leg.carrier.drop(leg, now)

    def fail(self, error: TriremeError, items: Sequence[HopItem], now: float) -> None:
        """Gives up on some items that have no outcome."""
        for item in items:
            item.outcome = error
            item.queue_us = item.compute_us = 0
            item.call = None
        self.remaining -= len(items)
        if not self.remaining:
            self.owner.over(self, now)
        self.taker.took(items, now)


class Arrivals:
    """Items that got their outcomes together, on their way to their senders."""

    __slots__ = ("_calls", "_items")

    def __init__(self) -> None:
        self._items: dict[Taker, list[HopItem]] = {}
        self._calls: list[HopCall] = []

    def add(self, call: HopCall, item: HopItem) -> None:
        items = self._items.get(call.taker)
        if items is None:
            self._items[call.taker] = [item]
        else:
            items.append(item)
        if not call.remaining:
            self._calls.append(call)

    def deliver(self, now: float) -> None:
        """After everything else is in order: whoever is told may send anew at once."""
        for call in self._calls:
            call.owner.over(call, now)
        for taker, items in self._items.items():
            taker.took(items, now)
