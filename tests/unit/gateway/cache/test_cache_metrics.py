from __future__ import annotations

import asyncio

from prometheus_client import REGISTRY

from trireme_gateway.cache.events import CacheEvents, Fault, Flight, Level, Refresh, Rejection
from trireme_gateway.cache.metrics import PrometheusCacheEvents


def sample(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(name, labels)
    assert value is not None
    return value


async def test_every_event_moves_its_series() -> None:
    events: CacheEvents = PrometheusCacheEvents()
    before = [sample("trireme_cache_requests_total", result=result) for result in ("hit_memory", "miss")]
    events.on_hit(Level.MEMORY, 3)
    events.on_hit(Level.REDIS, 1)
    events.on_miss(2)
    events.on_coalesced(1)
    events.on_rejected(Rejection.MAC)
    events.on_error(Fault.TIMEOUT, 4)
    events.on_memory(123, 7)
    events.on_bypassed(1)
    events.on_stale(2)
    events.on_refresh(Refresh.DONE, 1)
    events.on_flight(Flight.ANSWERED, 1)
    await asyncio.sleep(0)  # hits of one turn are counted in the next
    assert sample("trireme_cache_requests_total", result="hit_memory") == before[0] + 3
    assert sample("trireme_cache_requests_total", result="miss") == before[1] + 2
    assert sample("trireme_cache_requests_total", result="hit_redis") >= 1
    assert sample("trireme_cache_requests_total", result="coalesced") >= 1
    assert sample("trireme_cache_errors_total", kind="timeout") >= 4
    assert sample("trireme_cache_rejected_total", reason="mac") >= 1
    assert sample("trireme_cache_bytes") == 123
    assert sample("trireme_cache_evictions_total") >= 7
    assert sample("trireme_cache_requests_total", result="bypassed") >= 1
    assert sample("trireme_cache_stale_total") >= 2
    assert sample("trireme_cache_refreshes_total", result="done") >= 1
    assert sample("trireme_cache_shared_flights_total", result="answered") >= 1


def test_every_series_exists_from_the_start() -> None:
    PrometheusCacheEvents()
    for kind in Fault:
        sample("trireme_cache_errors_total", kind=kind.value)
    for result in Refresh:
        sample("trireme_cache_refreshes_total", result=result.value)
    for flight in Flight:
        sample("trireme_cache_shared_flights_total", result=flight.value)
    for reason in Rejection:
        sample("trireme_cache_rejected_total", reason=reason.value)
