"""The deadlines of everything under way: an expired request is answered on time, device busy or not."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Sequence

from trireme_inference.requests import Request

_SPARE = 256


class DeadlineHeap:
    """Earliest deadline first. Requests that were answered are forgotten as they come up, or together
    once they outnumber the others, so that memory follows what is under way.

    `queue_seconds`: longest wait of a request from its arrival, beside its own deadline; until `begun` the
    earlier of the two is its deadline.
    """

    def __init__(self, queue_seconds: float | None = None) -> None:
        self._queue_seconds = queue_seconds
        self._heap: list[tuple[float, int, Request]] = []
        self._numbers = itertools.count()
        self._tidy_at = _SPARE

    def add(self, request: Request) -> None:
        """Called before the request is queued, for it may bring its deadline forward."""
        if self._queue_seconds is not None:
            latest = request.arrived + self._queue_seconds
            if latest < request.deadline:
                request.deadline, request.run_deadline = latest, request.deadline
        self._push(request)

    def begun(self, requests: Sequence[Request]) -> None:
        """These wait no longer: their own deadlines count."""
        if self._queue_seconds is None:
            return
        for request in requests:
            if request.run_deadline:
                request.deadline, request.run_deadline = request.run_deadline, 0.0
                self._push(request)

    def _push(self, request: Request) -> None:
        if len(self._heap) > self._tidy_at:
            self._heap = [entry for entry in self._heap if not entry[2].answered]
            heapq.heapify(self._heap)
            self._tidy_at = 2 * len(self._heap) + _SPARE
        heapq.heappush(self._heap, (request.deadline, next(self._numbers), request))

    def next(self) -> float:
        """Earliest deadline of a request that is not answered; infinity where there is none."""
        while self._heap:
            at, _, request = self._heap[0]
            if not request.answered and at >= request.deadline:
                break
            heapq.heappop(self._heap)  # one that was begun stands there again, with its own deadline
        return self._heap[0][0] if self._heap else math.inf

    def pop_expired(self, now: float) -> list[Request]:
        """Requests not answered whose deadline has passed, each handed out once."""
        expired = []
        while self.next() <= now and self._heap:
            expired.append(heapq.heappop(self._heap)[2])
        return expired
