"""GPUs and processors under Triton's names: what is told, what is left out, and how often that is said."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from trireme_inference.device_metrics import DeviceMetrics, GpuReading, Processors, ReadingError

STAT = "cpu  {user} 0 {system} {idle} 0 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1\n"
MEMINFO = "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    250 kB\n"


class FakeGpus:
    """Two GPUs, of which the second tells little; each reading costs 40 joules."""

    def __init__(self) -> None:
        self.lost = False
        self.joules = 1000.0

    def read(self) -> list[GpuReading]:
        if self.lost:
            raise ReadingError("NVML: GPU is lost")
        self.joules += 40
        return [
            GpuReading("GPU-a", 0.5, 800, 200, 75.5, 300.0, self.joules),
            GpuReading("GPU-b", None, 400, 100),
        ]


def proc(folder: Path, *, user: int = 0, system: int = 0, idle: int = 0) -> Path:
    (folder / "stat").write_text(STAT.format(user=user, system=system, idle=idle))
    (folder / "meminfo").write_text(MEMINFO)
    return folder


def shown(registry: CollectorRegistry, start: str) -> set[str]:
    return {line for line in generate_latest(registry).decode().splitlines() if line.startswith(start)}


def test_a_gpu_is_shown_with_what_it_tells() -> None:
    registry = CollectorRegistry()
    DeviceMetrics(registry, FakeGpus)
    assert shown(registry, "nv_gpu") == {
        'nv_gpu_utilization{gpu_uuid="GPU-a"} 0.5',
        'nv_gpu_memory_total_bytes{gpu_uuid="GPU-a"} 800.0',
        'nv_gpu_memory_total_bytes{gpu_uuid="GPU-b"} 400.0',
        'nv_gpu_memory_used_bytes{gpu_uuid="GPU-a"} 200.0',
        'nv_gpu_memory_used_bytes{gpu_uuid="GPU-b"} 100.0',
        'nv_gpu_power_usage{gpu_uuid="GPU-a"} 75.5',
        'nv_gpu_power_limit{gpu_uuid="GPU-a"} 300.0',
    }


def test_energy_counts_from_the_first_scrape_on() -> None:
    registry = CollectorRegistry()
    DeviceMetrics(registry, FakeGpus)
    assert shown(registry, "nv_energy") == {'nv_energy_consumption{gpu_uuid="GPU-a"} 0.0'}
    assert shown(registry, "nv_energy") == {'nv_energy_consumption{gpu_uuid="GPU-a"} 40.0'}


def test_without_a_library_the_gauges_are_absent_and_one_line_says_so() -> None:
    registry = CollectorRegistry()
    asked = 0

    def missing() -> FakeGpus:
        nonlocal asked
        asked += 1
        raise ReadingError("nvidia-ml-py is not installed")

    DeviceMetrics(registry, missing)
    with capture_logs() as lines:
        assert shown(registry, "nv_gpu") == shown(registry, "nv_gpu") == set()
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("gpu_metrics_off", "nvidia-ml-py is not installed")
    ]
    assert asked == 1


def test_a_gpu_that_is_lost_leaves_and_may_come_back() -> None:
    registry, gpus = CollectorRegistry(), FakeGpus()
    DeviceMetrics(registry, lambda: gpus)
    assert shown(registry, "nv_gpu")
    gpus.lost = True
    with capture_logs() as lines:
        assert not shown(registry, "nv_gpu")
        assert not shown(registry, "nv_gpu")
    assert len(lines) == 1
    gpus.lost = False
    assert shown(registry, "nv_gpu")


def test_nobody_is_asked_before_the_first_scrape() -> None:
    def never() -> FakeGpus:
        raise AssertionError

    DeviceMetrics(CollectorRegistry(auto_describe=True), never)


def test_the_machine_is_shown_as_triton_shows_it(tmp_path: Path) -> None:
    moments = iter([0.0, 2.0])
    processors = Processors(proc(tmp_path, user=100, idle=100), lambda: next(moments))
    proc(tmp_path, user=120, system=10, idle=190)
    registry = CollectorRegistry()
    DeviceMetrics(registry, FakeGpus, processors)
    assert shown(registry, "nv_cpu") == {
        "nv_cpu_utilization 0.25",
        "nv_cpu_memory_total_bytes 1.024e+06",
        "nv_cpu_memory_used_bytes 768000.0",
    }


def test_looks_within_a_second_share_one(tmp_path: Path) -> None:
    now = 0.0
    processors = Processors(proc(tmp_path), lambda: now)
    proc(tmp_path, user=50, idle=50)
    assert processors.utilisation() == 0.0
    now = 1.0
    assert processors.utilisation() == 0.5
    proc(tmp_path, user=150, idle=50)
    now = 1.5
    assert processors.utilisation() == 0.5
    now = 2.0
    assert processors.utilisation() == 1.0


@pytest.mark.parametrize("stat", ["", "intr 1 2 3\n", "cpu x\n", "cpu0 1 1 1 1 1 1 1 1\n"])
def test_what_proc_does_not_tell_is_left_out(tmp_path: Path, stat: str) -> None:
    (tmp_path / "stat").write_text(stat)
    (tmp_path / "meminfo").write_text("MemTotal: 10 kB\n")
    processors = Processors(tmp_path)
    assert processors.utilisation() is None
    assert processors.memory() is None
    assert list(processors.families()) == []


def test_this_machine_tells() -> None:
    processors = Processors()
    busy, memory = processors.utilisation(), processors.memory()
    assert busy is not None
    assert memory is not None
    assert 0 <= busy <= 1
    assert 0 < memory[1] <= memory[0]
