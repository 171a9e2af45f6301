"""Writes docs/metrics.md from the services' metrics; with --check, compares instead."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

import trireme_gateway
from trireme_common import logs, metrics, otel_export
from trireme_common.remote.metrics import MirrorMetrics
from trireme_inference.device_metrics import DeviceMetrics, GpuReading
from trireme_inference.memory_metrics import MemoryMetrics
from trireme_inference.metrics import InferenceMetrics
from trireme_inference.worker_metrics import WorkerMetrics

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "metrics.md"
PREFACE = ROOT / "scripts" / "metrics_preface.md"

_TRITON = {
    "trireme_inference_pending_requests": "`nv_inference_pending_request_count`",
    "trireme_inference_batch_rows": "`nv_inference_count` / `nv_inference_exec_count`, the mean of it",
    "trireme_inference_queue_seconds": "`nv_inference_queue_duration_us`, summed over requests",
    "trireme_inference_compute_seconds": "the three `nv_inference_compute_*_duration_us`, over requests",
    "trireme_inference_failures_total": "`nv_inference_request_failure`",
    "trireme_model_load_seconds": "`nv_model_load_duration_secs`",
    "trireme_cache_requests_total": "`nv_cache_num_hits_per_model`, `nv_cache_num_misses_per_model`",
}


@dataclass(frozen=True, order=True)
class Row:
    """One metric as Prometheus reads it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    def shown(self) -> str:
        """A row of a table."""
        labels = ", ".join(f"`{label}`" for label in self.labels)
        meaning = self.meaning.replace("|", "\\|")
        triton = "the same" if self.name.startswith("nv_") else _TRITON.get(self.name, "")
        return f"| `{self.name}` | {self.kind} | {labels} | {meaning} | {triton} |"


class _Recording(CollectorRegistry):
    """Remembers what registers itself."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Collector] = []

    def register(self, collector: Collector) -> None:
        self.collectors.append(collector)
        super().register(collector)


class _Gpu:
    """A GPU that tells everything, so that all families are there."""

    def read(self) -> list[GpuReading]:
        return [GpuReading("GPU-0", 0.0, 0, 0, 0.0, 0.0, 0.0)]


def rows_of(collector: Collector) -> Iterator[Row]:
    """The library keeps labels to itself until there is a sample, so they are read where it keeps them."""
    if isinstance(collector, MetricWrapperBase):
        name, kind = collector._name, str(collector._type)
        yield _row(name, kind, collector._labelnames, collector._documentation)
        return
    for family in collector.collect():
        labels = getattr(family, "_labelnames", ()) or (family.samples[0].labels if family.samples else ())
        yield _row(family.name, family.type, labels, family.documentation)


def _row(name: str, kind: str, labels: Iterable[str], meaning: str) -> Row:
    kinds = {"unknown": "untyped"}
    return Row(name + "_total" * (kind == "counter"), kinds.get(kind, kind), tuple(labels), meaning)


def module_level(*modules: ModuleType) -> list[Collector]:
    """Metrics that stand in modules, each once."""
    found = [
        value for module in modules for value in vars(module).values() if isinstance(value, MetricWrapperBase)
    ]
    return list(dict.fromkeys(found))


def gateway() -> list[Collector]:
    """Metrics of the gateway's own modules."""
    names = [info.name for info in pkgutil.walk_packages(trireme_gateway.__path__, "trireme_gateway.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    shared = module_level(metrics, logs, otel_export)
    return [metric for metric in module_level(*modules) if metric not in shared]


def inference() -> list[Collector]:
    """Metrics of inference beside those of every stage."""
    registry = _Recording()
    InferenceMetrics(registry)
    WorkerMetrics(registry)
    MemoryMetrics(registry)
    DeviceMetrics(registry, _Gpu)
    return registry.collectors


def stages() -> list[Collector]:
    registry = _Recording()
    MirrorMetrics(registry)
    return [*module_level(metrics), *registry.collectors]


def everywhere() -> list[Collector]:
    return [PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR, *module_level(logs, otel_export)]


def section(title: str, collectors: Iterable[Collector]) -> str:
    rows = sorted({row for collector in collectors for row in rows_of(collector)})
    head = ["| metric | type | labels | meaning | Triton's |", "|---|---|---|---|---|"]
    return "\n".join([f"## {title}", "", *head, *(row.shown() for row in rows), ""])


def render() -> str:
    """The whole page."""
    sections = [
        section("Gateway", gateway()),
        section("Inference", inference()),
        section("Preprocess, inference and postprocess", stages()),
        section("All services", everywhere()),
    ]
    return PREFACE.read_text("utf-8") + "\n" + "\n".join(sections)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if the committed page is not fresh")
    page = render()
    if parser.parse_args().check:
        if TARGET.is_file() and TARGET.read_text("utf-8") == page:
            return 0
        print("docs/metrics.md is stale, run `make generate`", file=sys.stderr)
        return 1
    TARGET.write_text(page, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
