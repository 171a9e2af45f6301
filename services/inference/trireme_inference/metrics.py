"""What the inference service counts, under its own names and under Triton's.

Triton's counters carry no `_total`, which this client library would add, so they are exported as
untyped samples by a collector: dashboards and scaling recipes written for Triton read them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric, UntypedMetricFamily
from prometheus_client.registry import Collector

from trireme_common.errors import Code
from trireme_common.quick_histogram import SECONDS_BUCKETS, QuickHistogram
from trireme_inference.batch_policy import CloseReason
from trireme_inference.observer import BatchReport, Observer, Served
from trireme_inference.statistics import Statistics, VersionStatistics
from trireme_inference.tuning import Curve

_LABELS = ["model", "version"]
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

_Read = Callable[[VersionStatistics], int]
_COUNTERS: Mapping[str, tuple[str, _Read]] = {
    "request_success": ("Requests answered well.", lambda counts: counts.successes),
    "count": ("Inferences made: rows, batched or not.", lambda counts: counts.inferences),
    "exec_count": ("Batches run.", lambda counts: counts.executions),
    "request_duration_us": (
        "Microseconds from arrival to answer, summed over the requests that were answered well.",
        lambda counts: int(counts.success_seconds * 1e6),
    ),
    "queue_duration_us": (
        "Microseconds that those requests waited for an instance.",
        lambda counts: int(counts.queue_seconds * 1e6),
    ),
    "compute_input_duration_us": (
        "Microseconds in which inputs were joined, padded and brought to the model, summed over requests.",
        lambda counts: int(counts.compute.input_seconds * 1e6),
    ),
    "compute_infer_duration_us": (
        "Microseconds in which the model ran, summed over requests.",
        lambda counts: int(counts.compute.infer_seconds * 1e6),
    ),
    "compute_output_duration_us": (
        "Microseconds in which outputs were brought back and split, summed over requests.",
        lambda counts: int(counts.compute.output_seconds * 1e6),
    ),
}


class InferenceMetrics(Collector):
    """All metrics of the scheduler of one process; registers itself. `statistics` are counted, and read by
    whoever else wants them."""

    def __init__(self, registry: CollectorRegistry, statistics: Statistics | None = None) -> None:
        self.batch_rows = QuickHistogram(
            "trireme_inference_batch_rows", "Rows of a batch.", _LABELS, buckets=_SIZES, registry=registry
        )
        self.queue_seconds = QuickHistogram(
            "trireme_inference_queue_seconds", "Seconds that the oldest member of a batch waited.", _LABELS,
            buckets=SECONDS_BUCKETS, registry=registry,
        )  # fmt: skip
        self.compute_seconds = QuickHistogram(
            "trireme_inference_compute_seconds",
            "Seconds that an instance spent on a batch: inputs joined, the model, outputs split.",
            _LABELS,
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        self.batches = Counter(
            "trireme_inference_batches",
            "Batches by why they were closed.",
            [*_LABELS, "reason"],
            registry=registry,
        )
        self.failures = Counter(
            "trireme_inference_failures", "Requests that failed in the scheduler or on the device, by code.",
            [*_LABELS, "reason"], registry=registry,
        )  # fmt: skip
        self._statistics = statistics or Statistics()
        self._pending: dict[Callable[[], int], tuple[str, str]] = {}
        self._curves: list[tuple[tuple[str, str], Curve]] = []
        registry.register(self)

    def observer(self, model: str, version: str) -> Observer:
        return _ModelMetrics(self, model, version, self._statistics.of(model, version))

    def watch_pending(self, model: str, version: str, pending: Callable[[], int]) -> Callable[[], None]:
        """Reads `pending` at every scrape, until the returned function is called."""
        self._pending[pending] = (model, version)

        def forget() -> None:
            self._pending.pop(pending, None)

        return forget

    def show_curve(self, model: str, version: str, curve: Curve) -> Callable[[], None]:
        """Exports a curve until the returned function is called."""
        shown = ((model, version), curve)
        self._curves.append(shown)

        def forget() -> None:
            # Another load of the same version may show an equal one.
            self._curves = [other for other in self._curves if other is not shown]

        return forget

    def collect(self) -> Iterator[Metric]:
        """Triton's counters, the gauges of waiting requests and the batch curves, for the registry."""
        yield from self._counters()
        waiting: dict[tuple[str, str], int] = {}
        for pending, labels in list(self._pending.items()):
            waiting[labels] = waiting.get(labels, 0) + pending()
        for name in ("nv_inference_pending_request_count", "trireme_inference_pending_requests"):
            gauge = GaugeMetricFamily(name, "Requests that wait for an instance.", labels=_LABELS)
            for labels, count in waiting.items():
                gauge.add_metric(labels, count)
            yield gauge
        yield self._curve_family()

    def _counters(self) -> Iterator[Metric]:
        known = self._statistics.all()
        for name, (told, read) in _COUNTERS.items():
            family = UntypedMetricFamily(f"nv_inference_{name}", told, labels=_LABELS)
            for labels, counts in known.items():
                family.add_metric(labels, read(counts))
            yield family
        failures = UntypedMetricFamily(
            "nv_inference_request_failure",
            "Requests answered with an error, by Triton's reason.",
            labels=[*_LABELS, "reason"],
        )
        for labels, counts in known.items():
            for reason, count in counts.failures.items():
                failures.add_metric([*labels, reason.value], count)
        yield failures

    def _curve_family(self) -> Metric:
        family = GaugeMetricFamily(
            "trireme_inference_batch_curve_seconds",
            "Seconds of one run by its rows, measured when the version was loaded.",
            labels=[*_LABELS, "rows"],
        )
        newest = {
            (*labels, str(rows)): value for labels, curve in self._curves for rows, value in curve.items()
        }
        for labels, seconds in newest.items():
            family.add_metric(labels, seconds)
        return family


class _ModelMetrics:
    """Observer of one model version, its label look-ups made once."""

    def __init__(
        self, metrics: InferenceMetrics, model: str, version: str, counts: VersionStatistics
    ) -> None:
        self._metrics = metrics
        self._labels = (model, version)
        self._counts = counts
        self._closed = {
            reason: metrics.batches.labels(model, version, reason.value) for reason in CloseReason
        }
        self._rows = metrics.batch_rows.labels(model, version)
        self._queue = metrics.queue_seconds.labels(model, version)
        self._compute = metrics.compute_seconds.labels(model, version)

    def batch(self, report: BatchReport) -> None:
        self._rows.observe(report.batch_rows)
        self._queue.observe(report.oldest_wait_seconds)
        self._compute.observe(report.compute_seconds)
        self._closed[report.reason].inc()
        self._counts.batch(report)

    def served(self, served: Served) -> None:
        self._counts.served(served)

    def failures(self, code: Code, count: int, seconds: float) -> None:
        self._metrics.failures.labels(*self._labels, code.value).inc(count)
        self._counts.failures_of(code, count, seconds)
