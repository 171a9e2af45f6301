"""Metrics of the gateway, the same whether one worker serves or several.

With several workers PROMETHEUS_MULTIPROC_DIR is set before the process starts, every worker writes
its values to files there, and whoever is asked answers the sum; processes are told apart by their id.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Iterable, Iterator, Mapping

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.samples import Sample

from trireme_common.quick_histogram import SECONDS_BUCKETS, QuickHistogram
from trireme_gateway.catalog import STAGES
from trireme_gateway.process_metrics import shared_registry

REQUESTS = Counter("model_requests", "HTTP and gRPC requests answered.", ["endpoint", "status"])
REQUEST_SECONDS = QuickHistogram(
    "model_request_duration_seconds",
    "Seconds from a request's arrival to the end of its answer.",
    ["endpoint"],
    buckets=SECONDS_BUCKETS,
)
INFERENCE_SECONDS = QuickHistogram(
    "model_inference_duration_seconds",
    "Seconds that a request's items spent in the three stages.",
    ["model"],
    buckets=SECONDS_BUCKETS,
)
ACTIVE_REQUESTS = Gauge("model_active_requests", "Requests being answered now.", multiprocess_mode="livesum")
CONFIDENCE = QuickHistogram(
    "prediction_confidence",
    "Confidence of classifications.",
    ["model"],
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
)
STAGE_SECONDS = QuickHistogram(
    "trireme_stage_duration_seconds",
    "Seconds that a request waited for a stage, as the gateway sees it.",
    ["stage"],
    buckets=SECONDS_BUCKETS,
)

HEDGES = Counter(
    "trireme_upstream_hedges",
    "Calls of a stage asked of a second endpoint: won, lost, failed, or refused by the budget.",
    ["stage", "result"],
)
RETRIES = Counter("trireme_upstream_retries", "Calls of a stage failed over to another endpoint.", ["stage"])
EJECTIONS = Counter(
    "trireme_upstream_ejections",
    "Endpoints that got no calls for a while, by reason: silence or failures.",
    ["stage", "reason"],
)
ENDPOINTS = Gauge(
    "trireme_upstream_endpoints",
    "Endpoints of a stage as the gateway sees them: usable, ejected, draining or connecting.",
    ["stage", "state"],
    multiprocess_mode="livemax",
)
MESSAGE_ITEMS = QuickHistogram(
    "trireme_message_items",
    "Items that share a message to a stage.",
    ["stage"],
    buckets=(1, 2, 4, 8, 16, 32, 64),
)

_INFERENCE_NAMES = ("model_inference_duration_seconds_count", "model_inference_duration_seconds_sum")


class _Gathered:
    """What one turn of the event loop observes, counted together in the next: a request observes six
    times, and finding and locking a bucket for each costs more than a hop's bookkeeping."""

    def __init__(self) -> None:
        self._waiting: dict[QuickHistogram, list[float]] = {}

    def observe(self, histogram: QuickHistogram, amount: float) -> None:
        """Called in the thread of the loop that runs now, and always of the same one."""
        waiting = self._waiting
        amounts = waiting.get(histogram)
        if amounts is not None:
            amounts.append(amount)
            return
        if not waiting:
            asyncio.get_running_loop().call_soon(self._fold)
        waiting[histogram] = [amount]

    def _fold(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for histogram, amounts in waiting.items():
            histogram.observe_all(amounts)


class PrometheusObserver:
    """Listener of the pipeline. Children are kept, because finding one costs more than observing."""

    def __init__(self) -> None:
        self._gathered = _Gathered()
        self._stages = {stage: STAGE_SECONDS.labels(stage) for stage in STAGES}
        self._models: dict[str, QuickHistogram] = {}
        self._confidences: dict[str, QuickHistogram] = {}

    def observe_stage(self, stage: str, seconds: float) -> None:
        self._gathered.observe(self._stages[stage], seconds)

    def observe_inference(self, model: str, seconds: float) -> None:
        self._gathered.observe(_child(self._models, INFERENCE_SECONDS, model), seconds)

    def observe_confidence(self, model: str, confidence: float) -> None:
        self._gathered.observe(_child(self._confidences, CONFIDENCE, model), confidence)


class PrometheusHopObserver:
    """Listener of one stage's hop."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._message_items = MESSAGE_ITEMS.labels(stage)
        self._retries = RETRIES.labels(stage)

    def wrote_message(self, items: int) -> None:
        self._message_items.observe(items)

    def hedged(self, result: str) -> None:
        HEDGES.labels(self._stage, result).inc()

    def retried(self) -> None:
        self._retries.inc()

    def ejected(self, reason: str) -> None:
        EJECTIONS.labels(self._stage, reason).inc()

    def endpoints(self, states: Mapping[str, int]) -> None:
        for state, count in states.items():
            ENDPOINTS.labels(self._stage, state).set(count)


class RequestMetrics:
    """Counts requests as they are answered; `endpoint` is a route's template, never a raw path."""

    def __init__(self) -> None:
        self._gathered = _Gathered()
        self._counters: dict[tuple[str, str], Counter] = {}
        self._durations: dict[str, QuickHistogram] = {}

    def finished(self, endpoint: str, status: str, seconds: float) -> None:
        counter = self._counters.get((endpoint, status))
        if counter is None:
            counter = self._counters[(endpoint, status)] = REQUESTS.labels(endpoint, status)
        counter.inc()
        self._gathered.observe(_child(self._durations, REQUEST_SECONDS, endpoint), seconds)


def _child(children: dict[str, QuickHistogram], parent: QuickHistogram, label: str) -> QuickHistogram:
    child = children.get(label)
    if child is None:
        child = children[label] = parent.labels(label)
    return child


def exposition() -> bytes:
    """All metrics in Prometheus' text format, summed over workers."""
    return generate_latest(_registry())


def inference_totals() -> tuple[int, float]:
    """Requests that ran through the stages, and their average seconds, over all workers."""
    count = seconds = 0.0
    for sample in samples(_INFERENCE_NAMES):
        if sample.name == _INFERENCE_NAMES[0]:
            count += sample.value
        else:
            seconds += sample.value
    return int(count), seconds / count if count else 0.0


def samples(names: Collection[str]) -> Iterator[Sample]:
    """Samples of those names, summed over all workers."""
    if _several_workers():
        found: Iterable[Metric] = _registry().collect()
    else:
        found = REGISTRY.restricted_registry(names).collect()
    for metric in found:
        for sample in metric.samples:
            if sample.name in names:
                yield sample


def _several_workers() -> bool:
    return "PROMETHEUS_MULTIPROC_DIR" in os.environ


def _registry() -> CollectorRegistry:
    if not _several_workers():
        return REGISTRY
    return shared_registry(os.environ["PROMETHEUS_MULTIPROC_DIR"], os.getppid())
