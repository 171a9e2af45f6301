"""When a batch is closed: the rules that every policy shares, and the fixed one.

A group is the requests that wait and may share a run. Its front is closed

    FULL       as soon as it fills the maximum, or the next request would not fit any more;
    PREFERRED  as soon as a front of exactly a preferred number of rows stands, the largest such, also
               where the maximum could be filled; but who has waited the delay takes along all that fit;
    DELAY      when its oldest member has waited the maximum delay (IDLE where that is 0: whoever
               waits when an instance comes free goes at once, so batches grow with the load; of
               several instances each takes its share, as sharing.py says);
    DEADLINE   when its most urgent member would otherwise miss its deadline, by the learnt cost of a run
               of the group's rows;
    DRAIN      at once, while the queue is being emptied for good;
    GOAL and OBJECTIVE as adaptive_policy.py says, where a latency objective is set.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from trireme_inference.batch_costs import CostCurve
from trireme_inference.sharing import share_of

MARGIN_SECONDS = 0.001


class CloseReason(StrEnum):
    """Why a batch was closed."""

    FULL = "full"
    PREFERRED = "preferred"
    DELAY = "delay"
    IDLE = "idle"
    DEADLINE = "deadline"
    DRAIN = "drain"
    GOAL = "goal"
    OBJECTIVE = "objective"


class Plan(Protocol):
    """What holds for the groups of one key at one moment. Times are seconds of the queue's clock."""

    @property
    def most_rows(self) -> int:
        """Rows of a batch at most; a single request may have more."""

    @property
    def enough_rows(self) -> int:
        """Rows at which a group waits for no more; at most `most_rows`."""

    @property
    def preferred_rows(self) -> tuple[int, ...]: ...

    @property
    def full(self) -> CloseReason:
        """Why a batch was closed that has enough rows."""

    def due(self, oldest: float, urgent: float, rows: int) -> tuple[float, CloseReason]:
        """When a group closes although it has not enough rows, and why.

        `oldest` is its earliest arrival, `urgent` its earliest deadline, `rows` what it holds.
        """

    def most_of(self, rows: int, reason: CloseReason) -> int:
        """Rows that are taken at most of a group of `rows` that is closed for `reason`."""


class Load(Protocol):
    """What is there; a BatchQueue is one."""

    @property
    def arrived(self) -> int:
        """Rows that ever came."""

    @property
    def present(self) -> int:
        """Requests that wait or run."""

    def waiting(self) -> list[tuple[Hashable, int]]:
        """Key and rows of every group."""


class Policy(Protocol):
    """An algorithm: samples in, plans out, no clock inside. `max_rows` never changes."""

    @property
    def max_rows(self) -> int: ...

    def seen(self, now: float, load: Load) -> None:
        """What is there now: told before plans are asked for, and when a batch has run."""

    def plan(self, key: Hashable) -> Plan:
        """What holds, by what was last seen, for a group of this key."""

    def ran(self, key: Hashable, rows: int, seconds: float) -> None:
        """A batch of this key went well, and took an instance so many seconds."""

    def answered(self, total_seconds: float, reason: CloseReason) -> None:
        """A batch that went well, closed for `reason`, is answered: so long after its oldest arrival."""


@dataclass(frozen=True, eq=False)
class BatchPolicy:
    """The fixed policy, which is its own plan. `max_rows` >= 1; preferred sizes above are never reached."""

    max_rows: int
    preferred_rows: tuple[int, ...] = ()
    max_delay_seconds: float = 0.0
    costs: CostCurve = field(default_factory=CostCurve)
    instances: int = 1

    @property
    def most_rows(self) -> int:
        return self.max_rows

    @property
    def enough_rows(self) -> int:
        return self.max_rows

    @property
    def full(self) -> CloseReason:
        return CloseReason.FULL

    def seen(self, now: float, load: Load) -> None:
        """Nothing depends on it."""

    def plan(self, key: Hashable) -> Plan:
        return self

    def due(self, oldest: float, urgent: float, rows: int) -> tuple[float, CloseReason]:
        delay = self.max_delay_seconds
        if not delay:
            return oldest, CloseReason.IDLE
        by_deadline = urgent - self.costs.bound(min(rows, self.max_rows)) - MARGIN_SECONDS
        if by_deadline < oldest + delay:
            return by_deadline, CloseReason.DEADLINE
        return oldest + delay, CloseReason.DELAY

    def most_of(self, rows: int, reason: CloseReason) -> int:
        # Whoever names sizes wants those.
        if self.instances == 1 or reason is not CloseReason.IDLE or self.preferred_rows:
            return self.max_rows
        return share_of(rows, self.max_rows, self.instances, self.costs)

    def ran(self, key: Hashable, rows: int, seconds: float) -> None:
        if self.max_delay_seconds or self.instances > 1:  # else nothing asks for the cost
            self.costs.ran(rows, seconds)

    def answered(self, total_seconds: float, reason: CloseReason) -> None:
        """Nothing is promised."""
