"""What the pipeline needs of a hop; the streams are one adapter, stages in process another.

Also what a hop needs of the world: names to be resolved, and someone to tell of its work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from trireme_common.errors import TriremeError

Key = tuple[str, str]
"""Model and version."""


class HopRequest:
    """What a hop is told of the request that an item belongs to."""

    __slots__ = ("deadline", "priority", "request_id")

    def __init__(self, request_id: str, deadline: float, priority: int = 0) -> None:
        self.request_id = request_id
        self.deadline = deadline
        """Seconds of the monotonic clock."""
        self.priority = priority
        """Level in the stage's queue; 0 is the model's own."""


class HopItem:
    """One item of a request, on its way through the hops one after the other."""

    __slots__ = (
        "call", "compute_us", "number", "outcome", "payload", "queue_us", "request", "sent", "step",
        "traceparent",
    )  # fmt: skip

    def __init__(self, request: Any, payload: bytes) -> None:
        self.request = request
        """A HopRequest, or what its sender has made of one."""
        self.payload = payload
        self.traceparent = ""
        """Place in its trace of an item whose request is traced."""
        self.outcome: bytes | TriremeError | None = None
        """What the hop answered."""
        self.queue_us = 0
        """How long the item waited in the stage."""
        self.compute_us = 0
        self.call: Any = None
        """The hop's own: the call that the item is part of, until it has its outcome."""
        self.number = 0
        """The hop's own too: the item's id in the message that is being written."""
        self.step = 0
        """The sender's own: at which of its hops the item is, and since when."""
        self.sent = 0.0


def by_request(items: Iterable[HopItem]) -> list[list[HopItem]]:
    """Items of several requests, apart."""
    found: dict[HopRequest, list[HopItem]] = {}
    for item in items:
        found.setdefault(item.request, []).append(item)
    return list(found.values())


def requests_of(items: Iterable[HopItem]) -> int:
    """To how many requests items belong."""
    return len({item.request for item in items})


class UnansweredError(TriremeError):
    """No endpoint answered an item: the stage itself has said nothing of it."""


class Taker(Protocol):
    """Who sent items."""

    def took(self, items: Sequence[HopItem], now: float) -> None:
        """Items that have their outcomes since the last message."""


class Hop(Protocol):
    """One stage as the pipeline sees it."""

    def send(self, key: Key, items: Sequence[HopItem], taker: Taker) -> None:
        """Asks for the outcome of every item, which `taker` is given once, unless it is withdrawn.

        An item that nobody answered has an UnansweredError for its outcome. Deadlines are told to the stage,
        and are the sender's to keep.
        """

    def withdraw(self, items: Sequence[HopItem]) -> None:
        """Nobody waits for these items any more, as far as they are under way."""


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Addresses (`ip:port`) of a host's port. Raises OSError where the name cannot be asked."""


class HopObserver(Protocol):
    """Listener of one stage's hop."""

    def wrote_message(self, items: int) -> None:
        """A message with that many items left."""

    def hedged(self, result: str) -> None:
        """A hedge `won`, `lost` or came to nothing (`failed`), or was `refused` by the budget."""

    def retried(self) -> None:
        """A call was asked again of another endpoint."""

    def ejected(self, reason: str) -> None:
        """An endpoint gets no calls for a while."""

    def endpoints(self, states: Mapping[str, int]) -> None:
        """How many endpoints are in each state."""


class NoObserver:
    """HopObserver that does nothing."""

    def wrote_message(self, items: int) -> None: ...

    def hedged(self, result: str) -> None: ...

    def retried(self) -> None: ...

    def ejected(self, reason: str) -> None: ...

    def endpoints(self, states: Mapping[str, int]) -> None: ...
