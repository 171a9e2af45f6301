"""What the cache did, by model: counted by the turn, read over all workers."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from trireme_gateway.statistics.cache_counts import ModelCacheCounts, cache_totals
from trireme_gateway.statistics.model_statistics import CacheCounts, Duration


async def test_what_comes_in_one_turn_is_counted_in_the_next() -> None:
    counts = ModelCacheCounts()
    counts.looked_up("turned", "1", 2, 0, 0.25)
    counts.looked_up("turned", "1", 1, 0, 0.5)
    counts.looked_up("turned", "2", 0, 3, 0.125)
    assert ("turned", "1") not in cache_totals()
    await asyncio.sleep(0)
    totals = cache_totals()
    assert totals["turned", "1"] == CacheCounts(Duration(3, 750_000_000))
    assert totals["turned", "2"] == CacheCounts(misses=Duration(3, 125_000_000))


async def test_a_request_with_hits_and_misses_shares_its_time_among_them() -> None:
    counts = ModelCacheCounts()
    counts.looked_up("mixed", "1", 3, 1, 1.0)
    await asyncio.sleep(0)
    assert cache_totals()["mixed", "1"] == CacheCounts(Duration(3, 750_000_000), Duration(1, 250_000_000))


async def test_prometheus_reads_them_under_tritons_names() -> None:
    counts = ModelCacheCounts()
    for _ in range(2):
        counts.looked_up("named", "7", 1, 1, 0.5)
        await asyncio.sleep(0)
    labels = {"model": "named", "version": "7"}
    for name, value in (
        ("nv_cache_num_hits_per_model", 2),
        ("nv_cache_num_misses_per_model", 2),
        ("nv_cache_hit_duration_per_model", 500_000),
        ("nv_cache_miss_duration_per_model", 500_000),
    ):
        assert REGISTRY.get_sample_value(name, labels) == pytest.approx(value)
