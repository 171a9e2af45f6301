"""Gauges of the inference pools, set by every worker; the sum over them is what an autoscaler is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import REGISTRY, CollectorRegistry, Gauge, Metric

from trireme_gateway.holding.metrics import HELD
from trireme_gateway.scaling.report import PoolLoad

_QUEUED, _IN_FLIGHT, _WAIT = (
    "trireme_pool_queued_requests",
    "trireme_pool_requests_in_flight",
    "trireme_pool_queue_wait_seconds",
)
_FIELDS = {_QUEUED: "queued", _IN_FLIGHT: "in_flight", _WAIT: "queue_wait_seconds"}

QUEUED = Gauge(
    _QUEUED,
    "Requests that wait for an inference pool, held ones included: the most in the last seconds.",
    ["pool"],
    multiprocess_mode="livesum",
)
IN_FLIGHT = Gauge(
    _IN_FLIGHT,
    "Requests (items) under way in an inference pool, on average over the last seconds.",
    ["pool"],
    multiprocess_mode="livesum",
)
WAIT_SECONDS = Gauge(
    _WAIT,
    "How long the request has waited that waits longest for an inference pool.",
    ["pool"],
    multiprocess_mode="livemax",
)
MODEL_IN_FLIGHT = Gauge(
    "trireme_model_in_flight",
    "Requests (items) of a model that were under way in inference at the last look.",
    ["model"],
    multiprocess_mode="livesum",
)


def show(loads: Mapping[str, PoolLoad], models: Mapping[str, int]) -> None:
    """Sets the gauges of this process."""
    for pool, load in loads.items():
        QUEUED.labels(pool).set(load.queued)
        IN_FLIGHT.labels(pool).set(load.in_flight)
        WAIT_SECONDS.labels(pool).set(load.queue_wait_seconds)
    for model, items in models.items():
        MODEL_IN_FLIGHT.labels(model).set(items)
        HELD.labels(model)  # there with 0 before anything is held


def read_loads(registry: CollectorRegistry) -> dict[str, PoolLoad]:
    """The pools' loads over all workers, as the gauges have them."""
    # What several workers wrote has no names before it is read, so it cannot be restricted to some.
    source = registry.restricted_registry(_FIELDS) if registry is REGISTRY else registry
    metrics: Iterable[Metric] = source.collect()
    found: dict[str, dict[str, float]] = {}
    for metric in metrics:
        for sample in metric.samples:
            field = _FIELDS.get(sample.name)
            if field is not None:
                found.setdefault(sample.labels["pool"], {})[field] = sample.value
    return {pool: PoolLoad(**values) for pool, values in found.items()}
