"""A call of one hop, and its legs: what of it which endpoint was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from trireme_common.errors import Code, TriremeError
from trireme_gateway.hop.ports import HopAnswer

Key = tuple[str, str]
"""Model and version."""

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


class Leg:
    """Some items of a call, at one endpoint. `positions` are those of the call's payloads."""

    __slots__ = (
        "call", "carrier", "first_id", "items", "key", "lane_message", "positions",
        "refused", "remaining", "sound", "started",
    )  # fmt: skip

    def __init__(self, call: HopCall, positions: Sequence[int], carrier: Carrier, started: float) -> None:
        self.call = call
        self.key = call.key
        self.carrier = carrier
        self.positions = positions
        self.items = self.remaining = len(positions)
        self.started = started
        self.first_id = 0
        """Id of the first item on its stream; the others follow it. 0 while the leg waits."""
        self.lane_message: Any = None
        self.refused: list[int] = []
        """Positions whose outcome was not taken, because another leg may do better."""
        self.sound = False
        """Whether any item was answered without a fault of the endpoint."""

    @property
    def sent(self) -> bool:
        return self.first_id > 0

    def covers(self, position: int) -> bool:
        """Whether an outcome of that item may still come from here."""
        return position in self.positions and position not in self.refused


class HopCall:
    """Items of one request at one hop. Every item takes its first outcome, from whichever leg."""

    __slots__ = (
        "breaks", "compute_us", "deadline", "future", "hedge", "key", "legs", "outcomes",
        "patience", "payloads", "priority", "queue_us", "remaining", "request_id", "timer", "traceparent",
        "tried",
    )  # fmt: skip

    def __init__(
        self,
        key: Key,
        payloads: Sequence[bytes],
        deadline: float,
        request_id: str,
        future: asyncio.Future[HopAnswer],
        traceparent: str = "",
    ) -> None:
        self.key = key
        self.payloads = payloads
        self.deadline = deadline
        """Seconds of the monotonic clock."""
        self.request_id = request_id
        self.traceparent = traceparent
        self.future = future
        self.priority = 0
        self.outcomes: list[Any] = [None] * len(payloads)
        self.remaining = len(payloads)
        self.queue_us = 0
        self.compute_us = 0
        self.legs: list[Leg] = []
        """Legs that may still bring an outcome."""
        self.patience = 0.0
        """Seconds of waiting for an answer that are nothing unusual."""
        self.breaks = 0
        """Endpoints that went away while they had some of it."""
        self.tried: list[Carrier] = []
        """Endpoints that were sent some of it; none is asked twice."""
        self.hedge: Leg | None = None
        self.timer: asyncio.TimerHandle | None = None

    def take(
        self, leg: Leg, index: int, outcome: bytes | TriremeError, queue_us: int, compute_us: int
    ) -> None:
        """The outcome of item `index` of a leg."""
        if isinstance(outcome, bytes):
            leg.sound = True
            if self.outcomes[leg.positions[index]] is None:
                self._keep(leg.positions[index], outcome, queue_us, compute_us)
            return
        fault = outcome.code in _PERSONAL
        if outcome.code not in FAULTS:
            leg.sound = True
        position = leg.positions[index]
        if self.outcomes[position] is not None:
            return
        if fault and any(other is not leg and other.covers(position) for other in self.legs):
            leg.refused.append(position)
            return
        self._keep(position, outcome, queue_us, compute_us)

    def _keep(self, position: int, outcome: bytes | TriremeError, queue_us: int, compute_us: int) -> None:
        self.outcomes[position] = outcome
        if queue_us > self.queue_us:
            self.queue_us = queue_us
        if compute_us > self.compute_us:
            self.compute_us = compute_us
        self.remaining -= 1
        if not self.remaining and not self.future.done():
            self.future.set_result(HopAnswer(self.outcomes, self.queue_us, self.compute_us))

    def missing(self) -> list[int]:
        """Items without an outcome."""
        return [position for position, outcome in enumerate(self.outcomes) if outcome is None]

    def uncovered(self) -> list[int]:
        """Items without an outcome that no leg will bring."""
        return [at for at in self.missing() if not any(leg.covers(at) for leg in self.legs)]

    def fail(self, error: TriremeError, positions: Sequence[int]) -> None:
        """Gives up on some items: the call fails as a whole only where nothing of it was answered."""
        if self.future.done():
            return
        if len(positions) == len(self.payloads):
            self.future.set_exception(error)
            return
        for position in positions:
            self.outcomes[position] = error
        self.remaining -= len(positions)
        if not self.remaining:
            self.future.set_result(HopAnswer(self.outcomes, self.queue_us, self.compute_us))
