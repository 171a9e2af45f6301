"""What the cache tells about itself, and the plainest listener: integers."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Protocol


class Level(StrEnum):
    """Where a hit was found."""

    MEMORY = "memory"
    REDIS = "redis"


class Rejection(StrEnum):
    """Why a stored value was refused; each is a miss."""

    TRUNCATED = "truncated"
    MAGIC = "magic"
    SCHEMA = "schema"
    MAC = "mac"
    EXPIRED = "expired"


class Fault(StrEnum):
    """What kept the store from its work; a read becomes a miss, a write is left out."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    RESPONSE = "response"
    INTERNAL = "internal"
    BREAKER_OPEN = "breaker_open"
    SLOW = "slow"
    """Not waited for: the lookup ahead of this one is late."""
    DENIED = "denied"
    """Refused by the server's password or ACL."""
    MOVED = "moved"
    """The key's slot is at another node of the cluster, or on its way there."""
    UNROUTED = "unrouted"
    """No node is known for the key: neither Sentinel nor a node of the cluster has said one yet."""
    WRITE_DROPPED = "write_dropped"
    WRITE_REFUSED = "write_refused"


class Refresh(StrEnum):
    """What became of the background refresh of a stale answer."""

    DONE = "done"
    FAILED = "failed"
    DROPPED = "dropped"
    """Too many were under way; the next who asks tries again."""


class Flight(StrEnum):
    """What became of a missing key where gateways compute each answer once between them."""

    LED = "led"
    """Computed here, the others were told to wait."""
    ANSWERED = "answered"
    """Another gateway computed it."""
    GIVEN_UP = "given_up"
    """Another gateway did not answer in time, so it was computed here as well."""


class CacheEvents(Protocol):
    """Listener of the cache. Calls come from the event loop and must neither block nor raise.

    Each item that is looked up is told once by `on_hit`, `on_miss`, `on_coalesced` or `on_bypassed`; a hit
    whose time to live is over is told by `on_stale` besides. `evicted` counts since the last call.
    """

    def on_hit(self, level: Level, count: int) -> None: ...

    def on_miss(self, count: int) -> None: ...

    def on_coalesced(self, count: int) -> None: ...

    def on_bypassed(self, count: int) -> None: ...

    def on_stale(self, count: int) -> None: ...

    def on_refresh(self, result: Refresh, count: int) -> None: ...

    def on_flight(self, result: Flight, count: int) -> None: ...

    def on_rejected(self, reason: Rejection) -> None: ...

    def on_error(self, kind: Fault, count: int) -> None: ...

    def on_memory(self, size_bytes: int, evicted: int) -> None: ...


class CacheCounts:
    """CacheEvents kept as integers."""

    def __init__(self) -> None:
        self.hits: Counter[Level] = Counter()
        self.misses = 0
        self.coalesced = 0
        self.bypassed = 0
        self.stale = 0
        self.refreshes: Counter[Refresh] = Counter()
        self.flights: Counter[Flight] = Counter()
        self.rejected: Counter[Rejection] = Counter()
        self.errors: Counter[Fault] = Counter()
        self.size_bytes = 0
        self.evicted = 0

    def on_hit(self, level: Level, count: int) -> None:
        self.hits[level] += count

    def on_miss(self, count: int) -> None:
        self.misses += count

    def on_coalesced(self, count: int) -> None:
        self.coalesced += count

    def on_bypassed(self, count: int) -> None:
        self.bypassed += count

    def on_stale(self, count: int) -> None:
        self.stale += count

    def on_refresh(self, result: Refresh, count: int) -> None:
        self.refreshes[result] += count

    def on_flight(self, result: Flight, count: int) -> None:
        self.flights[result] += count

    def on_rejected(self, reason: Rejection) -> None:
        self.rejected[reason] += 1

    def on_error(self, kind: Fault, count: int) -> None:
        self.errors[kind] += count

    def on_memory(self, size_bytes: int, evicted: int) -> None:
        self.size_bytes = size_bytes
        self.evicted += evicted
