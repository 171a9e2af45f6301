"""Answers in this process: least recently used go first, bounded by bytes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from trireme_gateway.cache.freshness import Held

ENTRY_OVERHEAD_BYTES = 256
"""Memory that an entry takes beside key and value, measured on CPython 3.11 (tracemalloc: 218 to 250)."""


_Entry = tuple[bytes, float, float, float]
"""Value, and when it is stale, of no use, and when it was born, in seconds of the monotonic clock. A plain
tuple: it is read at every hit."""


class MemoryCache:
    """Bounded map of bytes to bytes. Every operation is O(1) for each entry it touches."""

    def __init__(
        self,
        max_bytes: int,
        *,
        max_value_bytes: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_bytes` counts keys, values and `ENTRY_OVERHEAD_BYTES` an entry; 0 keeps nothing.

        A value above `max_value_bytes` (default: an eighth of `max_bytes`) is not kept: it would push out
        many others. `clock`: seconds, monotonic.
        """
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._max_bytes = max_bytes
        self._max_value_bytes = max_bytes // 8 if max_value_bytes is None else max_value_bytes
        self._clock = clock
        self._size = 0
        self._evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Bytes counted against the bound."""
        return self._size

    @property
    def enabled(self) -> bool:
        """Whether it can keep anything at all."""
        return self._max_bytes > 0

    def get(self, key: bytes) -> bytes | None:
        """A value within its time to live, which becomes the most recently used, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[1] <= self._clock():
            self.find(key)  # forgets it if it is past all use
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def find(self, key: bytes) -> Held | None:
        """What is kept of the key, stale or not; it becomes the most recently used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, stale_at, gone_at, born_at = entry
        now = self._clock()
        if gone_at <= now:
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return Held(value, now - born_at, stale_at - now, gone_at - now)

    def put(
        self, key: bytes, value: bytes, ttl_seconds: float, *, keep_seconds: float = 0.0, age: float = 0.0
    ) -> None:
        """Keeps `value` of that `age` for at most `ttl_seconds` and, stale, for `keep_seconds` more, where
        it fits. A `ttl_seconds` below 0 says for how long it has been stale."""
        self._remove(key)
        cost = _cost(key, value)
        if ttl_seconds + keep_seconds <= 0 or len(value) > self._max_value_bytes or cost > self._max_bytes:
            return
        stale_at = (now := self._clock()) + ttl_seconds
        self._entries[key] = (value, stale_at, stale_at + keep_seconds, now - age)
        self._size += cost
        while self._size > self._max_bytes:
            oldest, entry = self._entries.popitem(last=False)
            self._size -= _cost(oldest, entry[0])
            self._evicted += 1

    def take_evicted(self) -> int:
        """How many were pushed out since this was asked last."""
        evicted, self._evicted = self._evicted, 0
        return evicted

    def clear(self) -> None:
        """Forgets everything."""
        self._entries.clear()
        self._size = 0

    def _remove(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= _cost(key, entry[0])


def _cost(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_OVERHEAD_BYTES
