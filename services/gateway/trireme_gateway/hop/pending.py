"""Items that wait to be sent, and the rule by which they share a message.

The rule is "natural" coalescing: a model version whose messages are all answered sends at once;
while answers are outstanding, what arrives gathers, and the next answer (or a full message) lets it
go together. Nothing waits for a timer, so an idle gateway adds no delay.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

Key = tuple[str, str]


@dataclass(slots=True, eq=False)
class Call:
    """The items of one request at one hop; `remaining` counts the items not yet answered."""

    key: Key
    first_id: int
    payloads: list[bytes]
    deadline: float
    request_id: str


@dataclass(slots=True)
class _Lane:
    """Calls of one model version."""

    waiting: deque[Call] = field(default_factory=deque)
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

    def add(self, call: Call) -> None:
        lane = self._lanes.setdefault(call.key, _Lane())
        lane.waiting.append(call)
        lane.waiting_items += len(call.payloads)

    def discard(self, call: Call) -> bool:
        """Takes back a call that was not sent yet; False if it is under way."""
        lane = self._lanes.get(call.key)
        if lane is None or call not in lane.waiting:
            return False
        lane.waiting.remove(call)
        lane.waiting_items -= len(call.payloads)
        self._forget_if_idle(call.key, lane)
        return True

    def take(self, key: Key) -> list[Call]:
        """Calls that go into the next message of `key`; empty if none may be sent now."""
        lane = self._lanes.get(key)
        if lane is None or not lane.waiting:
            return []
        if self._coalesce and lane.in_flight >= self._max_in_flight and lane.waiting_items < self._max_items:
            return []
        return self._fill(lane)

    def _fill(self, lane: _Lane) -> list[Call]:
        calls = [lane.waiting.popleft()]
        items = len(calls[0].payloads)
        while self._coalesce and lane.waiting and items + len(lane.waiting[0].payloads) <= self._max_items:
            call = lane.waiting.popleft()
            items += len(call.payloads)
            calls.append(call)
        lane.waiting_items -= items
        lane.in_flight += 1
        return calls

    def answered(self, key: Key) -> None:
        """A message of `key` has all its answers."""
        lane = self._lanes[key]
        lane.in_flight -= 1
        self._forget_if_idle(key, lane)

    def _forget_if_idle(self, key: Key, lane: _Lane) -> None:
        if not lane.in_flight and not lane.waiting:
            del self._lanes[key]
