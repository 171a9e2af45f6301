"""Metrics that every stage exports, and the port on which Prometheus reads them."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, start_http_server
from prometheus_client.samples import Sample

from trireme_common.errors import Code, SettingsError
from trireme_common.quick_histogram import SECONDS_BUCKETS, QuickHistogram
from trireme_common.stage_state import StageState, State

STAGE_ITEMS = Counter(
    "trireme_stage_items", "Items answered, by outcome: ok or the error's code.", ["model", "outcome"]
)
STAGE_SECONDS = QuickHistogram(
    "trireme_stage_run_seconds", "Seconds of one run over the items of a message or batch.", ["model"],
    buckets=SECONDS_BUCKETS,
)  # fmt: skip
MODEL_READY = Gauge("trireme_model_ready", "1 where this endpoint serves the version.", ["model", "version"])


def count_outcome(model: str, code: Code | None, count: int = 1) -> None:
    """Counts items answered with `code`, or well where it is None."""
    STAGE_ITEMS.labels(model, "ok" if code is None else code.value).inc(count)


def export_state(state: StageState) -> None:
    """Mirrors the state of the stage's versions into the gauge; listener of a ModelStore. A scrape in between
    sees each version as it was or as it is."""
    ready = {
        (model.name, model.version): model.state is State.READY for model in state.models if model.version
    }
    told = [(each.labels["model"], each.labels["version"]) for each in _samples(MODEL_READY)]
    for labels, value in ready.items():
        MODEL_READY.labels(*labels).set(value)
    for labels in told:
        if labels not in ready:
            MODEL_READY.remove(*labels)


def _samples(gauge: Gauge) -> list[Sample]:
    return [sample for metric in gauge.collect() for sample in metric.samples]


def serve_metrics(host: str, port: int | None) -> int | None:
    """Serves /metrics from a thread. Returns the port, or None where none was asked for."""
    if port is None:
        return None
    try:
        server, _ = start_http_server(port, addr=host)
    except OSError as error:
        raise SettingsError(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    return int(server.server_port)
