"""Metrics of the models in memory: what was loaded, what had to leave, what there is."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from trireme_common.memory import HOST
from trireme_common.quick_histogram import SECONDS_BUCKETS

_LABELS = ["model", "version"]


class MemoryMetrics:
    """MemoryObserver of a store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._loads = Counter(
            "trireme_model_loads", "Times that a version was loaded into memory.", _LABELS, registry=registry
        )
        self._seconds = Histogram(
            "trireme_model_load_seconds", "Seconds that loading a version took.", ["model"],
            buckets=SECONDS_BUCKETS, registry=registry,
        )  # fmt: skip
        self._evictions = Counter(
            "trireme_model_evictions",
            "Times that a version left memory to make room; it is loaded again when it is asked for.",
            _LABELS,
            registry=registry,
        )
        self._bytes = Gauge(
            "trireme_models_loaded_bytes", "Memory that the loaded models are estimated to take.",
            registry=registry,
        )  # fmt: skip
        self._gpu_bytes = Gauge(
            "trireme_models_gpu_bytes", "Memory of a GPU that the loaded models are estimated to take.",
            ["device"], registry=registry,
        )  # fmt: skip
        self._limit = Gauge(
            "trireme_models_memory_limit_bytes", "Memory that all models may take; 0 is no limit.",
            registry=registry,
        )  # fmt: skip

        self._gpus: set[str] = set()

    def loaded(self, model: str, version: str, seconds: float) -> None:
        self._loads.labels(model, version).inc()
        self._seconds.labels(model).observe(seconds)

    def evicted(self, model: str, version: str) -> None:
        self._evictions.labels(model, version).inc()

    def holds(self, sizes: Mapping[str, int], limit: int | None) -> None:
        self._bytes.set(sizes[HOST])
        self._limit.set(limit or 0)
        self._gpus.update(sizes.keys() - {HOST})
        for gpu in self._gpus:
            self._gpu_bytes.labels(gpu).set(sizes.get(gpu, 0))
