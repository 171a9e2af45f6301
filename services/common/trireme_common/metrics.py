"""Metrics that every stage exports, and the port on which Prometheus reads them."""

from __future__ import annotations

import collections
from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics, start_http_server

from trireme_common.errors import Code, SettingsError
from trireme_common.stage_state import StageState, State

# A second series for every counter, of the moment it was made, helps nobody and doubles each scrape.
disable_created_metrics()  # type: ignore[no-untyped-call]


class QuickHistogram(Histogram):
    """Finds its bucket by bisection, and takes many observations at once."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """As `Histogram.observe`, but that examples are not kept; the labels' values must have been given."""
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)

    def observe_all(self, amounts: Sequence[float]) -> None:
        """As `observe` for each of them, at the price of few."""
        self._sum.inc(sum(amounts))
        bounds = self._upper_bounds
        for bucket, count in collections.Counter([bisect_left(bounds, each) for each in amounts]).items():
            self._buckets[bucket].inc(count)


# fmt: off
SECONDS_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)
# fmt: on

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
    """Mirrors the state of the stage's versions into the gauge; listener of a ModelStore."""
    MODEL_READY.clear()
    for model in state.models:
        if model.version:
            MODEL_READY.labels(model.name, model.version).set(model.state is State.READY)


def serve_metrics(host: str, port: int | None) -> int | None:
    """Serves /metrics from a thread. Returns the port, or None where none was asked for."""
    if port is None:
        return None
    try:
        server, _ = start_http_server(port, addr=host)
    except OSError as error:
        raise SettingsError(f"cannot serve metrics on {host}:{port}: {error.strerror}") from error
    return int(server.server_port)
