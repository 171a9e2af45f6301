"""Who rides in a batch: the queue behind a policy, without clock, threads or locks.

Requests wait in groups of equal key (the shapes of their rows), because only they can share a run. In a
group every priority level has a lane in which the order of arrival is kept; a batch takes the lanes in
order of importance. Of several groups that may be closed the one with the most important head goes first,
among equals the oldest, so no shape starves. Every 16th batch starts instead with the oldest request
of all, whatever its level: a flood of important requests slows the others, but never stops them; one
that is too late is answered so, and counted.

Every call costs O(batch) where a batch is closed and O(groups) where none is.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Generic, Protocol, TypeVar

from trireme_inference.batch_policy import CloseReason, Plan, Policy

_FAIR_TURN = 16
_WAITED = (CloseReason.DELAY, CloseReason.DEADLINE)
"""Then nobody is left behind for the sake of a preferred size, as in Triton."""


class Waiting(Protocol):
    """What the queue must know of a request. Times are seconds of one monotonic clock."""

    @property
    def rows(self) -> int: ...
    @property
    def arrived(self) -> float: ...
    @property
    def deadline(self) -> float: ...
    def gone(self, now: float) -> bool: ...


W = TypeVar("W", bound=Waiting)


@dataclass(frozen=True, slots=True)
class Batch(Generic[W]):
    """Requests of equal key for one run, by importance and arrival."""

    key: Hashable
    requests: list[W]
    rows: int
    reason: CloseReason
    oldest: float
    """Earliest arrival among them."""


class _Group(Generic[W]):
    """Requests of one key, the lane of the most important level first."""

    __slots__ = ("lanes", "rows", "urgent")

    def __init__(self, levels: int) -> None:
        self.lanes: tuple[deque[W], ...] = (
            (deque(),) if levels == 1 else tuple(deque() for _ in range(levels))
        )
        self.rows = 0
        """At least the rows of the members that have not gone."""
        self.urgent = math.inf
        """Earliest deadline among the members that may ride in the next batch, or earlier."""

    def oldest(self) -> float:
        """Earliest arrival; there is at least one member."""
        if len(self.lanes) == 1:
            return self.lanes[0][0].arrived
        return min(lane[0].arrived for lane in self.lanes if lane)

    def head(self) -> tuple[int, float]:
        """Level and arrival of the most important member; there is at least one."""
        return next((level, lane[0].arrived) for level, lane in enumerate(self.lanes) if lane)


class BatchQueue(Generic[W]):
    """Requests that wait for an instance. Members that have gone are passed over and handed out by
    `take_gone`; the owner answers them."""

    def __init__(self, policy: Policy, levels: int = 1) -> None:
        self._policy = policy
        self._levels = levels
        self._groups: dict[Hashable, _Group[W]] = {}
        self._gone: list[W] = []
        self.arrived = 0
        """Rows that ever came."""
        self.present = 0
        """Requests that wait, or ride in a batch that is not `finished`."""
        self._closed = 0

    def add(self, key: Hashable, request: W, level: int = 0) -> None:
        """Queues a request of at most `max_rows` rows behind the others of its key and level.

        Level 0 is the most important.
        """
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(self._levels)
        rows = request.rows
        group.lanes[level].append(request)
        group.rows += rows
        if request.deadline < group.urgent:
            group.urgent = request.deadline
        self.arrived += rows
        self.present += 1

    def waiting(self) -> list[tuple[Hashable, int]]:
        """Key and rows of every group."""
        return [(key, group.rows) for key, group in self._groups.items()]

    def finished(self, batch: Batch[W], now: float) -> None:
        """Every batch that was taken has run, in whatever way."""
        self.present -= len(batch.requests)
        self._policy.seen(now, self)

    def take(self, now: float, *, drain: bool = False) -> Batch[W] | None:
        """The batch that is to run now, or None where every group may still gain by waiting."""
        self._policy.seen(now, self)
        strict = self._levels > 1 and self._closed % _FAIR_TURN != _FAIR_TURN - 1
        while (ripest := self._ripest(now, strict, drain=drain)) is not None:
            batch = self._close(*ripest, now, strict)
            if batch is not None:
                self._closed += 1
                return batch
        return None

    def _ripest(self, now: float, strict: bool, *, drain: bool) -> tuple[Hashable, CloseReason] | None:
        """The group that goes first of those that may be closed, and why it may."""
        best: tuple[tuple[int, float], Hashable, CloseReason] | None = None
        for key, group in list(self._groups.items()):
            if not self._prune(key, group, now):
                continue
            oldest = group.oldest()
            reason = CloseReason.DRAIN if drain else _ripe(group, self._policy.plan(key), oldest, now)
            if reason is not None:
                rank = group.head() if strict else (0, oldest)
                if best is None or rank < best[0]:
                    best = (rank, key, reason)
        return None if best is None else best[1:]

    def due(self, now: float) -> float:
        """Time at which `take` must be asked again although nothing arrives; infinity for never."""
        if not self._groups:
            return math.inf
        self._policy.seen(now, self)
        return min(
            self._policy.plan(key).due(group.oldest(), group.urgent, group.rows)[0]
            for key, group in self._groups.items()
        )

    def sweep(self, now: float) -> None:
        """Moves every member that has gone to `take_gone`; O(members)."""
        for key, group in list(self._groups.items()):
            for lane in group.lanes:
                for _ in range(len(lane)):
                    request = lane.popleft()
                    if request.gone(now):
                        group.rows -= request.rows
                        self._leave(request)
                    else:
                        lane.append(request)
            self._drop_if_empty(key)

    def evictable(self, level: int) -> int:
        """How many members `evict` may take out for this level, one after the other."""
        return sum(len(lane) for group in self._groups.values() for lane in group.lanes[level + 1 :])

    def evict(self, level: int) -> W | None:
        """Takes out the youngest member of the least important level below `level`, if there is one."""
        for below in range(self._levels - 1, level, -1):
            found = [
                (group.lanes[below][-1].arrived, key)
                for key, group in self._groups.items()
                if group.lanes[below]
            ]
            if found:
                _, key = max(found, key=lambda entry: entry[0])
                request = self._groups[key].lanes[below].pop()
                self._groups[key].rows -= request.rows
                self.present -= 1
                self._drop_if_empty(key)
                return request
        return None

    def take_gone(self) -> list[W]:
        """Members that were found gone since the last call."""
        gone, self._gone = self._gone, []
        return gone

    def _prune(self, key: Hashable, group: _Group[W], now: float) -> bool:
        """Moves heads that have gone to `take_gone`; False where nobody is left in the group."""
        for lane in group.lanes:
            while lane and lane[0].gone(now):
                request = lane.popleft()
                group.rows -= request.rows
                self._leave(request)
        return self._drop_if_empty(key)

    def _leave(self, request: W) -> None:
        self._gone.append(request)
        self.present -= 1

    def _close(self, key: Hashable, reason: CloseReason, now: float, strict: bool) -> Batch[W] | None:
        """The front of a group, or None where all its members have gone since it was looked at."""
        group, plan = self._groups[key], self._policy.plan(key)
        lanes: Sequence[deque[W]] = group.lanes
        if not strict and self._levels > 1:
            lanes = sorted(lanes, key=lambda lane: lane[0].arrived if lane else math.inf)
        most = plan.most_of(group.rows, reason)
        requests, rows, preferred, starts = self._fill(group, lanes, now, plan.preferred_rows, most)
        if preferred and reason not in _WAITED:
            reason = CloseReason.PREFERRED
            rows -= _give_back(group, lanes, starts, requests, preferred)
        elif (
            rows >= plan.most_rows
            or (most == plan.most_rows and any(lanes))
            or (reason is CloseReason.IDLE and rows >= plan.enough_rows)
        ):
            reason = plan.full
        # Those behind the next front are not looked at: a long queue must not cost more a batch.
        if self._drop_if_empty(key):
            following = islice(chain.from_iterable(group.lanes), self._policy.max_rows)
            group.urgent = min(request.deadline for request in following)
        if not requests:
            return None
        oldest = requests[0] if self._levels == 1 else min(requests, key=lambda member: member.arrived)
        return Batch(key, requests, rows, reason, oldest.arrived)

    def _fill(
        self, group: _Group[W], lanes: Sequence[deque[W]], now: float, sizes: Sequence[int], most: int
    ) -> tuple[list[W], int, int, list[int]]:
        """Takes the front out of `lanes`: its members, their rows, how many of them have exactly the
        largest preferred number of rows (0: none), and where in them every lane begins."""
        requests, rows, preferred, starts = list[W](), 0, 0, list[int]()
        for lane in lanes:
            starts.append(len(requests))
            while lane and rows < most:
                request = lane[0]
                if request.gone(now):
                    self._leave(request)
                elif rows + request.rows > most and requests:
                    return requests, rows, preferred, starts
                else:
                    requests.append(request)
                    rows += request.rows
                    if rows in sizes:
                        preferred = len(requests)
                group.rows -= request.rows
                lane.popleft()
        return requests, rows, preferred, starts

    def _drop_if_empty(self, key: Hashable) -> bool:
        """False where nobody is left in the group."""
        if any(self._groups[key].lanes):
            return True
        del self._groups[key]
        return False


def _ripe(group: _Group[W], plan: Plan, oldest: float, now: float) -> CloseReason | None:
    due, reason = plan.due(oldest, group.urgent, group.rows)
    if now >= due:
        return reason
    if group.rows < min((*plan.preferred_rows, plan.enough_rows)):
        return None
    return _front(group, plan, now)


def _front(group: _Group[W], plan: Plan, now: float) -> CloseReason | None:
    """Why the group's front may go without waiting for its time, if it may."""
    rows, enough, sizes = 0, plan.enough_rows, plan.preferred_rows
    preferred = False
    for request in chain.from_iterable(group.lanes):
        if request.gone(now):
            continue
        rows += request.rows
        if rows >= enough:
            return plan.full
        preferred = preferred or rows in sizes
    return CloseReason.PREFERRED if preferred else None


def _give_back(
    group: _Group[W], lanes: Sequence[deque[W]], starts: Sequence[int], requests: list[W], keep: int
) -> int:
    """Puts the members from `keep` on back to where they were; returns their rows."""
    returned = 0
    for start, lane in reversed(list(zip(starts, lanes, strict=False))):
        while len(requests) > max(start, keep):
            request = requests.pop()
            lane.appendleft(request)
            returned += request.rows
    group.rows += returned
    return returned
