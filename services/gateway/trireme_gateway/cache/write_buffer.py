"""What the Redis store still has to write, bounded, and readable while it waits."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from trireme_gateway.cache.ports import StoreEntry
from trireme_gateway.cache.redis_client import RedisLimits


class WriteBuffer:
    """What is to be written, and what is being written, by key."""

    def __init__(self, limits: RedisLimits) -> None:
        self._limits = limits
        self._waiting: dict[bytes, StoreEntry] = {}
        self._taken: dict[bytes, StoreEntry] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def get(self, key: bytes) -> bytes | None:
        """The value on its way to Redis, or None."""
        entry = self._waiting.get(key) or self._taken.get(key)
        return None if entry is None else entry.value

    def add(self, entry: StoreEntry) -> bool:
        """False where there is no room."""
        limits = self._limits
        if entry.key in self._waiting:
            return True
        size = len(entry.value)
        if size > limits.max_value_bytes or len(self._waiting) >= limits.max_buffered:
            return False
        if self._bytes + size > limits.max_buffered_bytes:
            return False
        self._waiting[entry.key] = entry
        self._bytes += size
        return True

    def take(self) -> Mapping[bytes, StoreEntry]:
        """The next entries to write; readable until `written`."""
        size = 0
        for key, entry in islice(self._waiting.items(), self._limits.max_writes):
            if self._taken and size + len(entry.value) > self._limits.max_write_bytes:
                break
            self._taken[key] = entry
            size += len(entry.value)
        for key in self._taken:
            del self._waiting[key]
        self._bytes -= size
        return self._taken

    def written(self) -> None:
        self._taken = {}

    def clear(self) -> int:
        """Forgets everything; the number of entries that were waiting."""
        dropped = len(self._waiting)
        self._waiting.clear()
        self._taken = {}
        self._bytes = 0
        return dropped
