"""What the inference service counts, under its own names and under Triton's.

Triton's counters carry no `_total`, which this client library would add, so they are exported as
untyped samples by a collector: dashboards and scaling recipes written for Triton read them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric, UntypedMetricFamily
from prometheus_client.registry import Collector

from trireme_common.errors import Code
from trireme_common.metrics import SECONDS_BUCKETS
from trireme_inference.batch_policy import CloseReason
from trireme_inference.observer import BatchReport, Observer
from trireme_inference.tuning import Curve

_LABELS = ["model", "version"]
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(slots=True)
class _Totals:
    """Counters of one model version; a field is named as Triton's metric is, without `nv_inference_`."""

    request_success: int = 0
    request_failure: int = 0
    count: int = 0
    exec_count: int = 0
    request_duration_us: int = 0
    queue_duration_us: int = 0
    compute_infer_duration_us: int = 0


_HELP = {
    "request_success": "Requests answered well.",
    "request_failure": "Requests answered with an error.",
    "count": "Inferences made: rows, batched or not.",
    "exec_count": "Batches run.",
    "request_duration_us": "Microseconds from arrival to answer, summed over requests.",
    "queue_duration_us": "Microseconds waited, summed over requests.",
    "compute_infer_duration_us": "Microseconds of the runs, summed over batches.",
}


class InferenceMetrics(Collector):
    """All metrics of one process; registers itself."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.batch_rows = Histogram(
            "trireme_inference_batch_rows", "Rows of a batch.", _LABELS, buckets=_SIZES, registry=registry
        )
        self.queue_seconds = Histogram(
            "trireme_inference_queue_seconds", "Seconds that the oldest member of a batch waited.", _LABELS,
            buckets=SECONDS_BUCKETS, registry=registry,
        )  # fmt: skip
        self.compute_seconds = Histogram(
            "trireme_inference_compute_seconds", "Seconds of one run on the device.", _LABELS,
            buckets=SECONDS_BUCKETS, registry=registry,
        )  # fmt: skip
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
        self._totals: dict[tuple[str, str], _Totals] = {}
        self._pending: dict[Callable[[], int], tuple[str, str]] = {}
        self._curves: list[tuple[tuple[str, str], Curve]] = []
        registry.register(self)

    def observer(self, model: str, version: str) -> Observer:
        return _ModelMetrics(self, model, version, self._totals.setdefault((model, version), _Totals()))

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
        totals = dict(self._totals)
        for field in fields(_Totals):
            family = UntypedMetricFamily(f"nv_inference_{field.name}", _HELP[field.name], labels=_LABELS)
            for labels, values in totals.items():
                family.add_metric(labels, getattr(values, field.name))
            yield family
        waiting: dict[tuple[str, str], int] = {}
        for pending, labels in list(self._pending.items()):
            waiting[labels] = waiting.get(labels, 0) + pending()
        for name in ("nv_inference_pending_request_count", "trireme_inference_pending_requests"):
            gauge = GaugeMetricFamily(name, "Requests that wait for an instance.", labels=_LABELS)
            for labels, count in waiting.items():
                gauge.add_metric(labels, count)
            yield gauge
        yield self._curve_family()

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

    def __init__(self, metrics: InferenceMetrics, model: str, version: str, totals: _Totals) -> None:
        self._metrics = metrics
        self._labels = (model, version)
        self._totals = totals
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
        totals = self._totals
        totals.request_success += report.requests
        totals.count += report.rows
        totals.exec_count += 1
        totals.request_duration_us += int(report.total_seconds * 1e6)
        totals.queue_duration_us += int(report.queue_seconds * 1e6)
        totals.compute_infer_duration_us += int(report.compute_seconds * 1e6)

    def failures(self, code: Code, count: int) -> None:
        self._metrics.failures.labels(*self._labels, code.value).inc(count)
        self._totals.request_failure += count
