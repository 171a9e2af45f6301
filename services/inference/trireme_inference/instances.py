"""The instances of a model: threads that run batches, each taking its next one itself.

Cheaper than concurrent.futures by a future and its lock for every batch, and by two changes of threads.
"""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

B = TypeVar("B")
A = TypeVar("A")


class Work(Protocol[B, A]):
    """What instances do. Called on their threads; none may raise."""

    def run(self, batch: B) -> A:
        """The answers of a batch."""

    def follow(self, batch: B, answers: A, seconds: float) -> B | None:
        """The batch that the instance runs next, after one that took `seconds`; None leaves it idle."""

    def tell(self, batch: B, answers: A) -> bool:
        """Hands answers over; False where nobody is there to take them any more."""


class Instances(Generic[B, A]):
    """`count` threads. They never keep the process from ending."""

    def __init__(self, count: int, name: str, work: Work[B, A]) -> None:
        self._work = work
        self._begun: SimpleQueue[tuple[B, float] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._live, name=f"{name}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def begin(self, batch: B) -> None:
        """Gives a batch to an idle instance."""
        self._begun.put((batch, time.monotonic()))

    def close(self) -> None:
        """Ends every thread after what was begun before; does not wait."""
        for _ in self._threads:
            self._begun.put(None)

    def _live(self) -> None:
        while (first := self._begun.get()) is not None:
            following: B | None
            following, begun = first
            # A name that is left standing would keep a batch alive while the next one runs.
            del first
            while following is not None:
                batch = following
                del following
                answers = self._work.run(batch)
                ended = time.monotonic()
                following = self._work.follow(batch, answers, ended - begun)
                if not self._work.tell(batch, answers):
                    return
                begun = ended
                del batch, answers
