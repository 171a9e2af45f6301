"""Who is told of held requests."""

from __future__ import annotations

from typing import Literal, Protocol

Ending = Literal["served", "full", "late", "left", "refused"]
"""`served`: the model woke up; `full`: there was no room; `late`: its time was over; `left`: its caller went
away; `refused`: the model turned out to be unusable, or the gateway ended."""


class HoldObserver(Protocol):
    """Listener of the queue of held requests."""

    def depth(self, model: str, requests: int) -> None:
        """So many requests wait for the model now."""

    def ended(self, model: str, ending: Ending, seconds: float) -> None:
        """A request waits no more, after so many seconds."""


class NoHoldObserver:
    """HoldObserver that does nothing."""

    def depth(self, model: str, requests: int) -> None: ...

    def ended(self, model: str, ending: Ending, seconds: float) -> None: ...
