"""Items that wait to be sent, and the rule by which they share a message.

The rule is "natural" coalescing: a model version whose messages are all answered sends at once;
while answers are outstanding, what arrives gathers, and the next answer (or a full message) lets it
go together. Nothing waits for a timer, so an idle gateway adds no delay. Whether a version gathers at all
is the caller's to say (learning.py).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from trireme_gateway.hop.calls import Leg
from trireme_gateway.hop.ports import Key


@dataclass(slots=True)
class _Lane:
    """Legs of one model version."""

    waiting: deque[Leg] = field(default_factory=deque)
    waiting_items: int = 0
    in_flight: int = 0
    """Messages sent and not yet answered in full."""


class Pending:
    """What waits on one stream, by model version. Pure: the stream asks what to send when."""

    def __init__(self, *, max_in_flight: int, max_items: int, coalesce: bool = True) -> None:
        self._max_in_flight = max_in_flight
        self._max_items = max_items
        self._coalesce = coalesce
        self._lanes: dict[Key, _Lane] = {}

    @property
    def message_items(self) -> int:
        """Most items that one message on the wire may hold."""
        return self._max_items if self._coalesce else 1

    def add(self, leg: Leg) -> None:
        lane = self._lanes.setdefault(leg.key, _Lane())
        lane.waiting.append(leg)
        lane.waiting_items += leg.remaining

    def discard(self, leg: Leg) -> bool:
        """Takes back a leg that was not sent yet; False if it is under way."""
        lane = self._lanes.get(leg.key)
        if lane is None or leg not in lane.waiting:
            return False
        lane.waiting.remove(leg)
        lane.waiting_items -= leg.remaining
        self._forget_if_idle(leg.key, lane)
        return True

    def shrink(self, leg: Leg, items: int) -> None:
        """So many items of a leg that waits are to be sent no more."""
        self._lanes[leg.key].waiting_items -= items

    def take(self, key: Key, *, gathers: bool = True) -> list[Leg]:
        """Legs that go into the next message of `key`; empty if none may be sent now."""
        lane = self._lanes.get(key)
        if lane is None or not lane.waiting:
            return []
        held = self._coalesce and gathers and lane.in_flight >= self._max_in_flight
        if held and lane.waiting_items < self._max_items:
            return []
        return self._fill(lane)

    def _fill(self, lane: _Lane) -> list[Leg]:
        legs = [lane.waiting.popleft()]
        items = legs[0].remaining
        while self._coalesce and lane.waiting and items + lane.waiting[0].remaining <= self._max_items:
            leg = lane.waiting.popleft()
            items += leg.remaining
            legs.append(leg)
        lane.waiting_items -= items
        lane.in_flight += 1
        return legs

    def answered(self, key: Key) -> None:
        """A message of `key` has all its answers."""
        lane = self._lanes[key]
        lane.in_flight -= 1
        self._forget_if_idle(key, lane)

    def _forget_if_idle(self, key: Key, lane: _Lane) -> None:
        if not lane.in_flight and not lane.waiting:
            del self._lanes[key]
