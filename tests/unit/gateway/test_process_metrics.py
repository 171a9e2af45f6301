"""Processor time and memory of several processes in one scrape."""

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from trireme_gateway.process_metrics import ProcessesCollector, workers_of


def test_workers_are_known_by_the_files_of_their_gauges(tmp_path: Path) -> None:
    names = (
        "gauge_livesum_12.db",
        "gauge_livemax_12.db",
        "gauge_livemax_7.db",
        "gauge_sum_3.db",
        "counter_4.db",
    )
    for name in names:
        (tmp_path / name).touch()
    assert workers_of(str(tmp_path)) == [7, 12]


def test_every_process_is_told_by_its_id() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        registry = CollectorRegistry()
        registry.register(ProcessesCollector(lambda: [os.getpid(), other.pid]))
        for pid in (os.getpid(), other.pid):
            labels = {"pid": str(pid)}
            assert registry.get_sample_value("process_resident_memory_bytes", labels)
            assert registry.get_sample_value("process_cpu_seconds_total", labels) is not None
        families = [family.name for family in registry.collect()]
        assert len(families) == len(set(families))
        other.communicate(b"\n")


def test_a_process_that_ended_is_left_out() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    assert list(ProcessesCollector(lambda: [ended.pid]).collect()) == []
