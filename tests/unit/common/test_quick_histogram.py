from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from trireme_common.quick_histogram import QuickHistogram

AMOUNTS = (0.0, 0.05, 0.1, 0.10001, 0.5, 1.0, 2.0, 1e9, float("inf"))


def exposed(kind: type[Histogram], *, together: bool = False) -> bytes:
    registry = CollectorRegistry()
    histogram = kind("seconds", "Seconds.", ["model"], buckets=(0.1, 0.5, 1.0), registry=registry)
    child = histogram.labels("m")
    if together and isinstance(child, QuickHistogram):
        child.observe_all(AMOUNTS[:4])
        child.observe_all(AMOUNTS[4:])
    else:
        for amount in AMOUNTS:
            child.observe(amount)
    return generate_latest(registry)


def test_it_counts_as_the_library_does_one_by_one_and_together() -> None:
    assert exposed(QuickHistogram) == exposed(Histogram)
    assert exposed(QuickHistogram, together=True) == exposed(Histogram)
