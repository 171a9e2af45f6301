from __future__ import annotations

import asyncio
import threading

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from trireme_common.metrics import QuickHistogram

AMOUNTS = (0.0, 0.05, 0.1, 0.10001, 0.5, 1.0, 2.0, 1e9, float("inf"))


def exposed(kind: type[Histogram], amounts: tuple[float, ...] = AMOUNTS) -> bytes:
    registry = CollectorRegistry()
    histogram = kind("seconds", "Seconds.", ["model"], buckets=(0.1, 0.5, 1.0), registry=registry)
    for amount in amounts:
        histogram.labels("m").observe(amount)
    return generate_latest(registry)


def test_without_a_loop_it_counts_at_once_as_the_library_does() -> None:
    assert exposed(QuickHistogram) == exposed(Histogram)


async def test_in_a_loop_it_has_counted_by_the_next_turn() -> None:
    registry = CollectorRegistry()
    histogram = QuickHistogram("seconds", "Seconds.", ["model"], buckets=(0.1, 0.5, 1.0), registry=registry)
    for amount in AMOUNTS:
        histogram.labels("m").observe(amount)
    await asyncio.sleep(0)
    assert generate_latest(registry) == exposed(Histogram)
    histogram.labels("m").observe(0.2)
    await asyncio.sleep(0)
    assert generate_latest(registry) == exposed(Histogram, (*AMOUNTS, 0.2))


async def test_threads_and_the_loop_lose_nothing_between_them() -> None:
    registry = CollectorRegistry()
    histogram = QuickHistogram("seconds", "Seconds.", registry=registry)

    def observe() -> None:
        for _ in range(2000):
            histogram.observe(1.0)

    threads = [threading.Thread(target=observe) for _ in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        histogram.observe(1.0)
        await asyncio.sleep(0)
    for thread in threads:
        thread.join()
    total = registry.get_sample_value("seconds_count")
    assert total is not None
    assert total > 4000
    assert registry.get_sample_value("seconds_sum") == total
