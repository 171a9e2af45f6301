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
    WRITE_DROPPED = "write_dropped"
    WRITE_REFUSED = "write_refused"


class CacheEvents(Protocol):
    """Listener of the cache. Calls come from the event loop and must neither block nor raise."""

    def on_hit(self, level: Level, count: int) -> None: ...

    def on_miss(self, count: int) -> None: ...

    def on_coalesced(self, count: int) -> None: ...

    def on_rejected(self, reason: Rejection) -> None: ...

    def on_error(self, kind: Fault, count: int) -> None: ...

    def on_size(self, size_bytes: int) -> None: ...


class CacheCounts:
    """CacheEvents kept as integers."""

    def __init__(self) -> None:
        self.hits: Counter[Level] = Counter()
        self.misses = 0
        self.coalesced = 0
        self.rejected: Counter[Rejection] = Counter()
        self.errors: Counter[Fault] = Counter()
        self.size_bytes = 0

    def on_hit(self, level: Level, count: int) -> None:
        self.hits[level] += count

    def on_miss(self, count: int) -> None:
        self.misses += count

    def on_coalesced(self, count: int) -> None:
        self.coalesced += count

    def on_rejected(self, reason: Rejection) -> None:
        self.rejected[reason] += 1

    def on_error(self, kind: Fault, count: int) -> None:
        self.errors[kind] += count

    def on_size(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
