"""When a batch is closed and who rides in it: the algorithm alone, without clock, threads or locks.

Requests wait in groups of equal key (the shapes of their rows), because only they can share a run;
inside a group the order of arrival is kept. A group's front is closed

    FULL       as soon as it fills the maximum, or the next request would not fit any more;
    PREFERRED  as soon as a front of exactly a preferred number of rows stands, the largest such;
    DELAY      when its oldest member has waited the maximum delay (IDLE where that is 0: whoever
               waits when an instance comes free goes at once, so batches grow with the load);
    DEADLINE   when its most urgent member would otherwise miss its deadline, a run being expected to
               take `run_seconds`;
    DRAIN      at once, while the queue is being emptied for good.

Of several groups that may be closed the one with the oldest member goes first, so no shape starves.
Every call costs O(batch) where a batch is closed and O(groups) where none is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from typing import Generic, Protocol, TypeVar

_MARGIN_SECONDS = 0.001


class CloseReason(StrEnum):
    """Why a batch was closed."""

    FULL = "full"
    PREFERRED = "preferred"
    DELAY = "delay"
    IDLE = "idle"
    DEADLINE = "deadline"
    DRAIN = "drain"


class Waiting(Protocol):
    """What the policy must know of a request. Times are seconds of one monotonic clock."""

    @property
    def rows(self) -> int: ...
    @property
    def arrived(self) -> float: ...
    @property
    def deadline(self) -> float: ...
    def gone(self, now: float) -> bool: ...


W = TypeVar("W", bound=Waiting)


@dataclass(frozen=True)
class BatchPolicy:
    """The numbers that decide. `max_rows` >= 1; preferred sizes above it are never reached."""

    max_rows: int
    preferred_rows: tuple[int, ...] = ()
    max_delay_seconds: float = 0.0

    @property
    def first_goal(self) -> int:
        """Fewest rows at which a group may close before its time."""
        return min((*self.preferred_rows, self.max_rows))


@dataclass(frozen=True, slots=True)
class Batch(Generic[W]):
    """Requests of equal key for one run, in order of arrival."""

    requests: list[W]
    rows: int
    reason: CloseReason


@dataclass(slots=True)
class _Group(Generic[W]):
    waiting: deque[W] = field(default_factory=deque)
    rows: int = 0
    """At least the rows of the members that have not gone."""
    urgent: float = math.inf
    """Earliest deadline among the members that may ride in the next batch, or earlier."""

    def add(self, request: W) -> None:
        self.waiting.append(request)
        self.rows += request.rows
        self.urgent = min(self.urgent, request.deadline)


class BatchQueue(Generic[W]):
    """Requests that wait for an instance. Members that have gone are passed over and handed out by
    `take_gone`; the owner answers them."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._groups: dict[Hashable, _Group[W]] = {}
        self._gone: list[W] = []

    def add(self, key: Hashable, request: W) -> None:
        """Queues a request of at most `max_rows` rows behind the others of its key."""
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        group.add(request)

    def take(self, now: float, *, run_seconds: float = 0.0, drain: bool = False) -> Batch[W] | None:
        """The batch that is to run now, or None where every group may still gain by waiting."""
        best: tuple[float, Hashable, CloseReason] | None = None
        for key in list(self._groups):
            oldest = self._oldest(key, now)
            if oldest is None:
                continue
            reason = CloseReason.DRAIN if drain else self._ripe(self._groups[key], oldest, now, run_seconds)
            if reason is not None and (best is None or oldest.arrived < best[0]):
                best = (oldest.arrived, key, reason)
        return None if best is None else self._close(best[1], now, best[2])

    def due(self, *, run_seconds: float = 0.0) -> float:
        """Time at which `take` must be asked again although nothing arrives; infinity for never."""
        return min((self._due(group, run_seconds)[0] for group in self._groups.values()), default=math.inf)

    def sweep(self, now: float) -> None:
        """Moves every member that has gone to `take_gone`; O(members)."""
        for key, group in list(self._groups.items()):
            alive: _Group[W] = _Group()
            for request in group.waiting:
                if request.gone(now):
                    self._gone.append(request)
                else:
                    alive.add(request)
            self._groups[key] = alive
            self._drop_if_empty(key)

    def take_gone(self) -> list[W]:
        """Members that were found gone since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def _oldest(self, key: Hashable, now: float) -> W | None:
        group = self._groups[key]
        while group.waiting:
            if not group.waiting[0].gone(now):
                return group.waiting[0]
            request = group.waiting.popleft()
            group.rows -= request.rows
            self._gone.append(request)
        del self._groups[key]
        return None

    def _ripe(self, group: _Group[W], oldest: W, now: float, run_seconds: float) -> CloseReason | None:
        due, reason = self._due(group, run_seconds)
        if now >= due:
            return reason
        if group.rows < self._policy.first_goal:
            return None
        return self._front(group, now)

    def _due(self, group: _Group[W], run_seconds: float) -> tuple[float, CloseReason]:
        delay = self._policy.max_delay_seconds
        by_delay = group.waiting[0].arrived + delay
        by_deadline = group.urgent - run_seconds - _MARGIN_SECONDS
        if delay and by_deadline < by_delay:
            return by_deadline, CloseReason.DEADLINE
        return by_delay, CloseReason.DELAY if delay else CloseReason.IDLE

    def _front(self, group: _Group[W], now: float) -> CloseReason | None:
        """FULL or PREFERRED where the group's front is that, without waiting for its time."""
        rows = 0
        preferred = False
        for request in group.waiting:
            if request.gone(now):
                continue
            rows += request.rows
            if rows >= self._policy.max_rows:
                return CloseReason.FULL
            preferred = preferred or rows in self._policy.preferred_rows
        return CloseReason.PREFERRED if preferred else None

    def _close(self, key: Hashable, now: float, reason: CloseReason) -> Batch[W]:
        group, most, sizes = self._groups[key], self._policy.max_rows, self._policy.preferred_rows
        requests, rows, preferred = list[W](), 0, 0
        while group.waiting and rows < most:
            request = group.waiting[0]
            if request.gone(now):
                self._gone.append(request)
            elif rows + request.rows > most:
                break
            else:
                requests.append(request)
                rows += request.rows
                if rows in sizes:
                    preferred = len(requests)
            group.rows -= request.rows
            group.waiting.popleft()
        if group.waiting or rows == most:
            reason = CloseReason.FULL
        elif preferred:
            reason = CloseReason.PREFERRED
            for request in reversed(requests[preferred:]):
                group.waiting.appendleft(request)
                group.rows += request.rows
                rows -= request.rows
            del requests[preferred:]
        # Those behind the next front are not looked at: a long queue must not cost more a batch.
        following = islice(group.waiting, self._policy.max_rows)
        group.urgent = min((request.deadline for request in following), default=math.inf)
        self._drop_if_empty(key)
        return Batch(requests, rows, reason)

    def _drop_if_empty(self, key: Hashable) -> None:
        if not self._groups[key].waiting:
            del self._groups[key]
