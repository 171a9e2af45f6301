"""What is counted of worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from trireme_inference.workers.worker_set import WorkerCounts

_LABELS = ["model", "version"]


class Processes(Protocol):
    """The workers of a version."""

    def resident_bytes(self) -> Mapping[int, int]:
        """Memory of each, by its number."""

    def cpu_seconds(self) -> Mapping[int, float]:
        """What each has computed since it was started."""


class WorkerMetrics(Collector):
    """Metrics of all workers of this service; registers itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, told: str, *labels: str) -> Counter:
            return Counter(f"trireme_inference_{name}", told, [*_LABELS, *labels], registry=registry)

        self.crashes = counter("worker_crashes", "Worker processes that ended without being told to.")
        self.restarts = counter("worker_restarts", "Worker processes started in place of one that ended.")
        self.quarantined = counter("quarantined_inputs", "Inputs refused because workers died of them twice.")
        self.shared_bytes = counter(
            "shared_memory_bytes", "Bytes of tensors passed through shared memory.", "direction"
        )
        self._workers: dict[Processes, tuple[str, str]] = {}
        registry.register(self)

    def counts(self, model: str, version: str) -> WorkerCounts:
        return _Counts(self, model, version)

    def watch(self, model: str, version: str, workers: Processes) -> Callable[[], None]:
        """Reads what the processes take at every scrape, until the returned function is called."""
        self._workers[workers] = (model, version)

        def forget() -> None:
            self._workers.pop(workers, None)

        return forget

    def collect(self) -> Iterator[Metric]:
        """Memory and computing time of each process, for the registry."""
        memory = GaugeMetricFamily(
            "trireme_inference_worker_resident_bytes",
            "Resident memory of a worker process, what it shares with others included.",
            labels=[*_LABELS, "instance"],
        )
        computed = CounterMetricFamily(
            "trireme_inference_worker_cpu_seconds",
            "Seconds that a worker process has computed; a process started in its place begins at 0.",
            labels=[*_LABELS, "instance"],
        )
        for workers, labels in list(self._workers.items()):
            for number, resident in workers.resident_bytes().items():
                memory.add_metric([*labels, str(number)], resident)
            for number, seconds in workers.cpu_seconds().items():
                computed.add_metric([*labels, str(number)], seconds)
        yield memory
        yield computed


class _Counts:
    """Counters of one version, their label look-ups made once."""

    def __init__(self, metrics: WorkerMetrics, model: str, version: str) -> None:
        labels = (model, version)
        self._crashes = metrics.crashes.labels(*labels)
        self._restarts = metrics.restarts.labels(*labels)
        self._quarantined = metrics.quarantined.labels(*labels)
        self._there = metrics.shared_bytes.labels(*labels, "to_worker")
        self._back = metrics.shared_bytes.labels(*labels, "from_worker")

    def crashed(self) -> None:
        self._crashes.inc()

    def restarted(self) -> None:
        self._restarts.inc()

    def quarantined(self, count: int) -> None:
        self._quarantined.inc(count)

    def carried(self, to_worker: int, from_worker: int) -> None:
        self._there.inc(to_worker)
        self._back.inc(from_worker)
