"""What traces say of the cache: a lookup is an event, and who waits for another's work is linked to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence

from trireme_common.tracing import Span, TraceParent
from trireme_gateway.cache.cache import CacheResult, Status


class CacheTrace:
    """Knows which traced request asked first for the keys that are being looked up."""

    def __init__(self) -> None:
        self._first: dict[bytes, TraceParent] = {}

    def remembered(self, span: Span, items: int) -> None:
        """Notes on `span` that all its items were in memory."""
        span.event("cache.lookup", {f"trireme.cache.{Status.HIT}": items})

    async def observe(self, span: Span, keys: Sequence[bytes], lookup: Awaitable[CacheResult]) -> CacheResult:
        """Awaits `lookup`, which must not have begun, and notes on `span` what became of it."""
        others = {at: self._first[key] for at, key in enumerate(keys) if key in self._first}
        for key in keys:
            self._first.setdefault(key, span.place)
        try:
            found = await lookup
        finally:
            for key in keys:
                if self._first.get(key) is span.place:
                    del self._first[key]
        span.event("cache.lookup", dict(Counter(f"trireme.cache.{status}" for status in found.statuses)))
        joined = {place for at, place in others.items() if found.statuses[at] is Status.COALESCED}
        for place in joined:
            span.link(place)
        return found
