"""What the pipeline needs of a hop; the streams are one adapter, stages in process another.

Also what a hop needs of the world: names to be resolved, and someone to tell of its work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from trireme_common.errors import TriremeError


class HopAnswer(NamedTuple):
    """Answers of one call, an outcome an item, in the order of its payloads.

    `queue_us` and `compute_us` are the longest that one of its items waited and ran in the stage.
    """

    outcomes: list[bytes | TriremeError]
    queue_us: int = 0
    compute_us: int = 0


class Hop(Protocol):
    """One stage as the pipeline sees it."""

    async def call(
        self,
        model: str,
        version: str,
        payloads: Sequence[bytes],
        deadline: float,
        request_id: str,
        traceparent: str = "",
        priority: int = 0,
    ) -> HopAnswer:
        """Answers every payload. `deadline` is in seconds of the monotonic clock; `traceparent` is the
        place in its trace of a request that is traced; `priority` is the level in the stage's queue.

        Raises TriremeError: BACKEND_UNAVAILABLE where no endpoint can take the call, DEADLINE_EXCEEDED
        at the deadline.
        """


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
