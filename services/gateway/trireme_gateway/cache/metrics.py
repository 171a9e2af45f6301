"""The cache's events as Prometheus series."""

from __future__ import annotations

import asyncio

from prometheus_client import Counter, Gauge

from trireme_gateway.cache.events import Fault, Flight, Level, Refresh, Rejection

CACHE_REQUESTS = Counter(
    "trireme_cache_requests",
    "Items asked for, by result: hit_memory, hit_redis, miss, coalesced, bypassed.",
    ["result"],
)
CACHE_STALE = Counter("trireme_cache_stale", "Hits that were answered after their time to live.")
CACHE_REFRESHES = Counter(
    "trireme_cache_refreshes",
    "Stale answers computed anew in the background, by result: done, failed, dropped.",
    ["result"],
)
CACHE_FLIGHTS = Counter(
    "trireme_cache_shared_flights",
    "Missing keys that gateways share out between them, by result: led, answered, given_up.",
    ["result"],
)
CACHE_ERRORS = Counter("trireme_cache_errors", "Keys not read or written, by kind of fault.", ["kind"])
CACHE_REJECTED = Counter("trireme_cache_rejected", "Stored values refused, by reason.", ["reason"])
CACHE_EVICTIONS = Counter(
    "trireme_cache_evictions", "Answers pushed out of this process' memory by newer ones."
)
CACHE_BYTES = Gauge("trireme_cache_bytes", "Bytes of answers in process.", multiprocess_mode="livesum")


class PrometheusCacheEvents:
    """CacheEvents that increments the series above, all of which exist from the start.

    Hits of one turn of the event loop are counted together in the next: to find and lock a series for each
    costs more than the hit does.
    """

    def __init__(self) -> None:
        self._hits = {level: CACHE_REQUESTS.labels(f"hit_{level}") for level in Level}
        self._misses = CACHE_REQUESTS.labels("miss")
        self._coalesced = CACHE_REQUESTS.labels("coalesced")
        self._bypassed = CACHE_REQUESTS.labels("bypassed")
        self._refreshes = {result: CACHE_REFRESHES.labels(result.value) for result in Refresh}
        self._flights = {result: CACHE_FLIGHTS.labels(result.value) for result in Flight}
        self._rejected = {reason: CACHE_REJECTED.labels(reason.value) for reason in Rejection}
        self._gathered: dict[Level, int] = {}
        self._size_bytes = 0
        self._errors = {kind: CACHE_ERRORS.labels(kind.value) for kind in Fault}

    def on_hit(self, level: Level, count: int) -> None:
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._fold)
        self._gathered[level] = self._gathered.get(level, 0) + count

    def _fold(self) -> None:
        gathered, self._gathered = self._gathered, {}
        for level, count in gathered.items():
            self._hits[level].inc(count)

    def on_miss(self, count: int) -> None:
        self._misses.inc(count)

    def on_coalesced(self, count: int) -> None:
        self._coalesced.inc(count)

    def on_bypassed(self, count: int) -> None:
        self._bypassed.inc(count)

    def on_stale(self, count: int) -> None:
        CACHE_STALE.inc(count)

    def on_refresh(self, result: Refresh, count: int) -> None:
        self._refreshes[result].inc(count)

    def on_flight(self, result: Flight, count: int) -> None:
        self._flights[result].inc(count)

    def on_rejected(self, reason: Rejection) -> None:
        self._rejected[reason].inc()

    def on_error(self, kind: Fault, count: int) -> None:
        self._errors[kind].inc(count)

    def on_memory(self, size_bytes: int, evicted: int) -> None:
        if size_bytes != self._size_bytes:
            self._size_bytes = size_bytes
            CACHE_BYTES.set(size_bytes)
        if evicted:
            CACHE_EVICTIONS.inc(evicted)
