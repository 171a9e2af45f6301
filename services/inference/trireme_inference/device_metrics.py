"""What the machine does beside the models, under Triton's names: its GPUs, its processors, its memory.

As Triton has it, processors and memory are the machine's, not the container's, and come from /proc.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric, UntypedMetricFamily
from prometheus_client.registry import Collector

logger = structlog.get_logger(__name__)

_PROC = Path("/proc")
_INTERVAL_SECONDS = 1.0


class ReadingError(Exception):
    """The GPUs cannot be asked; says why."""


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What one GPU told; None is what it does not tell."""

    uuid: str
    utilisation: float | None = None
    """Share of the last moments in which a kernel ran, 0 to 1."""
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    energy_joules: float | None = None
    """Since the driver was loaded."""


class Gpus(Protocol):
    """The GPUs of this machine."""

    def read(self) -> Sequence[GpuReading]:
        """Raises ReadingError."""


_GPU_GAUGES: Mapping[str, tuple[str, Callable[[GpuReading], float | None]]] = {
    "nv_gpu_utilization": ("Share of time in which a kernel ran, 0 to 1.", lambda gpu: gpu.utilisation),
    "nv_gpu_memory_total_bytes": ("Memory of the GPU.", lambda gpu: gpu.memory_total_bytes),
    "nv_gpu_memory_used_bytes": (
        "Memory of the GPU that is taken, by whomever.",
        lambda gpu: gpu.memory_used_bytes,
    ),
    "nv_gpu_power_usage": ("Watts that the GPU draws.", lambda gpu: gpu.power_watts),
    "nv_gpu_power_limit": ("Watts that the GPU may draw.", lambda gpu: gpu.power_limit_watts),
}


class DeviceMetrics(Collector):
    """Collector of both; registers itself. `open_gpus` is called at the first scrape and raises ReadingError;
    GPUs that cannot be asked are left out, and a line of the log says so once."""

    def __init__(
        self,
        registry: CollectorRegistry,
        open_gpus: Callable[[], Gpus],
        processors: Processors | None = None,
    ) -> None:
        self._open = open_gpus
        self._gpus: Gpus | None = None
        self._failed = False
        self._lock = threading.Lock()
        self._first_energy: dict[str, float] = {}
        self._processors = processors or Processors()
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing: what there is shows at the first scrape, and nobody is asked before."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families of what can be told now, for the registry."""
        with self._lock:
            readings = self._readings()
        if readings:
            yield from self._gpu_families(readings)
        yield from self._processors.families()

    def _readings(self) -> Sequence[GpuReading]:
        try:
            if self._gpus is None and not self._failed:
                self._gpus = self._open()
            readings = self._gpus.read() if self._gpus is not None else ()
        except ReadingError as error:
            if not self._failed:
                logger.info("gpu_metrics_off", reason=str(error))
            self._failed = True
            return ()
        for gpu in readings:
            if gpu.energy_joules is not None:
                self._first_energy.setdefault(gpu.uuid, gpu.energy_joules)
        return readings

    def _gpu_families(self, readings: Sequence[GpuReading]) -> Iterator[Metric]:
        for name, (told, read) in _GPU_GAUGES.items():
            family = GaugeMetricFamily(name, told, labels=["gpu_uuid"])
            for gpu in readings:
                value = read(gpu)
                if value is not None:
                    family.add_metric([gpu.uuid], value)
            yield family
        energy = UntypedMetricFamily(
            "nv_energy_consumption",
            "Joules that the GPU has used since the first scrape.",
            labels=["gpu_uuid"],
        )
        for gpu in readings:
            if gpu.energy_joules is not None:
                energy.add_metric([gpu.uuid], gpu.energy_joules - self._first_energy[gpu.uuid])
        yield energy


@dataclass(frozen=True, slots=True)
class _Ticks:
    busy: int
    idle: int


class Processors:
    """Processors and memory of the machine, out of /proc. What is not there is left out."""

    def __init__(self, proc: Path = _PROC, clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._clock = clock
        self._lock = threading.Lock()
        self._ticks = self._read_ticks()
        self._read_at = clock()
        self._busy = 0.0

    def families(self) -> Iterator[Metric]:
        """Triton's gauges of the CPU."""
        busy, memory = self.utilisation(), self.memory()
        if busy is not None:
            yield GaugeMetricFamily(
                "nv_cpu_utilization", "Share of all processors' time that was used of late, 0 to 1.", busy
            )
        if memory is not None:
            yield GaugeMetricFamily("nv_cpu_memory_total_bytes", "Memory of the machine.", memory[0])
            yield GaugeMetricFamily(
                "nv_cpu_memory_used_bytes", "Memory of the machine that is not available.", memory[1]
            )

    def utilisation(self) -> float | None:
        """Share of the time of all processors that was used since the last look, 0 to 1; looks that follow
        each other within a second share one. None where /proc does not tell."""
        with self._lock:
            if self._ticks is None:
                return None
            now = self._clock()
            if now - self._read_at >= _INTERVAL_SECONDS:
                self._look(now)
            return self._busy

    def memory(self) -> tuple[int, int] | None:
        """Bytes that there are, and that are used: those that could not be had without swapping."""
        try:
            lines = (self._proc / "meminfo").read_text().splitlines()
            parts = [line.partition(":") for line in lines]
            sizes = {name: int(rest.split()[0]) * 1024 for name, _, rest in parts}
            return sizes["MemTotal"], sizes["MemTotal"] - sizes["MemAvailable"]
        except (OSError, ValueError, LookupError):
            return None

    def _look(self, now: float) -> None:
        last, ticks = self._ticks, self._read_ticks()
        if last is None or ticks is None:
            return
        busy, idle = max(0, ticks.busy - last.busy), max(0, ticks.idle - last.idle)
        if busy + idle:
            self._busy, self._ticks, self._read_at = busy / (busy + idle), ticks, now

    def _read_ticks(self) -> _Ticks | None:
        try:
            name, *fields = (self._proc / "stat").read_text().partition("\n")[0].split()
            user, nice, system, idle, waiting, irq, soft_irq, stolen = map(int, fields[:8])
        except (OSError, ValueError):
            return None
        if name != "cpu":
            return None
        return _Ticks(user + nice + system + irq + soft_irq + stolen, idle + waiting)
