"""Metrics of held requests. They are the gateway's, so that they are there while inference has no pod."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from trireme_common.quick_histogram import QuickHistogram
from trireme_gateway.holding.observer import Ending

HELD = Gauge(
    "trireme_held_requests",
    "Requests that wait for an inference endpoint that has their model.",
    ["model"],
    multiprocess_mode="livesum",
)
ENDED = Counter(
    "trireme_held_requests_ended",
    "Requests that wait no more: served, full, late, left or refused.",
    ["model", "ending"],
)
HELD_SECONDS = QuickHistogram(
    "trireme_held_seconds",
    "Seconds that a request waited until its model was there.",
    ["model"],
    buckets=(0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0),
)


class PrometheusHoldObserver:
    """HoldObserver that counts."""

    def depth(self, model: str, requests: int) -> None:
        HELD.labels(model).set(requests)

    def ended(self, model: str, ending: Ending, seconds: float) -> None:
        ENDED.labels(model, ending).inc()
        if ending == "served":
            HELD_SECONDS.labels(model).observe(seconds)
