"""Metrics of the mirror, beside those of the stage that it feeds."""

from __future__ import annotations

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge

from trireme_common.remote.failure import Kind


class MirrorMetrics:
    """Prometheus end of the telemetry."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._bytes = Counter(
            "trireme_models_source_bytes", "Bytes downloaded from the models' source.", registry=registry
        )
        self._reused = Counter(
            "trireme_models_source_reused_bytes",
            "Bytes that needed no download: continued downloads, and files that were here already.",
            registry=registry,
        )
        self._files = Counter(
            "trireme_models_source_files", "Files brought, whole and verified.", registry=registry
        )
        self._failures = Counter(
            "trireme_models_source_failures",
            "Passes or models that failed, by kind.",
            ["kind"],
            registry=registry,
        )
        for kind in Kind:
            self._failures.labels(kind.value)
        self._seconds = Gauge(
            "trireme_models_source_pass_seconds", "Seconds of the last pass.", registry=registry
        )
        self._reached = Gauge(
            "trireme_models_source_reached", "1 where the last pass could list the source.", registry=registry
        )
        self._cache = Gauge(
            "trireme_models_cache_bytes", "Bytes of mirrored files in the cache.", registry=registry
        )

    def planned(self, files: int, size: int) -> None:
        """Not a metric: what is planned again in every pass would count again."""

    def received(self, size: int) -> None:
        self._bytes.inc(size)

    def reused(self, size: int) -> None:
        self._reused.inc(size)

    def finished_file(self) -> None:
        self._files.inc()

    def failed(self, kind: Kind) -> None:
        self._failures.labels(kind.value).inc()

    def passed(self, seconds: float, cache_bytes: int, *, reached: bool) -> None:
        self._seconds.set(seconds)
        self._reached.set(reached)
        self._cache.set(cache_bytes)
