"""Processor time and memory of every process of a gateway that has several.

With one process the client library shows them by itself; the sum over files that several workers write
holds no such series. They are read from /proc at every scrape, each under its process id: a sum would
fall when a worker is replaced, and a counter that falls reads as one that began anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, ProcessCollector, multiprocess
from prometheus_client.registry import Collector

_GAUGE_FILE = re.compile(r"gauge_live\w+_(\d+)\.db")


def workers_of(metrics_dir: str) -> list[int]:
    """Ids of the workers that write into that directory; the files of one that ended are taken away."""
    found = (_GAUGE_FILE.fullmatch(path.name) for path in Path(metrics_dir).iterdir())
    return sorted({int(match[1]) for match in found if match})


class ProcessesCollector(Collector):
    """The library's `process_*` families over several processes, told apart by the label `pid`."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for pid in self._pids():
            for found in _families(pid):
                family = families.setdefault(
                    found.name, Metric(found.name, found.documentation, found.type, found.unit)
                )
                for sample in found.samples:
                    family.add_sample(sample.name, {"pid": str(pid)}, sample.value)
        yield from families.values()


def _families(pid: int) -> Iterable[Metric]:
    """Empty where the process has ended."""
    return ProcessCollector(pid=lambda: pid, registry=None).collect()


def shared_registry(metrics_dir: str, supervisor: int) -> CollectorRegistry:
    """What the workers of that directory write, summed, and all their processes, the supervisor's too."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, metrics_dir)  # type: ignore[no-untyped-call]
    registry.register(ProcessesCollector(lambda: [supervisor, *workers_of(metrics_dir)]))
    return registry
