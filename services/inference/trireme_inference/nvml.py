"""NVIDIA's management library, by its own Python binding: what every GPU of this machine is doing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, TypeVar

from trireme_inference.device_metrics import GpuReading, ReadingError

T = TypeVar("T")


class Nvml:
    """The library, opened. Raises ReadingError where it, its binding or the driver is missing."""

    def __init__(self) -> None:
        try:
            # Of the extra `gpu`: images for the CPU do not carry it.
            self._library: Any = importlib.import_module("pynvml")
        except ImportError as error:
            raise ReadingError("nvidia-ml-py is not installed") from error
        nvml = self._library
        try:
            nvml.nvmlInit()
            handles = [nvml.nvmlDeviceGetHandleByIndex(at) for at in range(nvml.nvmlDeviceGetCount())]
            self._gpus = [(handle, str(nvml.nvmlDeviceGetUUID(handle))) for handle in handles]
        except nvml.NVMLError as error:
            raise ReadingError(f"NVML: {error}") from error

    def close(self) -> None:
        """No reading may follow."""
        self._library.nvmlShutdown()

    def read(self) -> list[GpuReading]:
        """One reading a GPU, in the driver's order. Raises ReadingError where a GPU is lost."""
        try:
            return [self._reading(handle, uuid) for handle, uuid in self._gpus]
        except self._library.NVMLError as error:
            raise ReadingError(f"NVML: {error}") from error

    def utilisation(self, number: int) -> float | None:
        """Share of the last moments in which a kernel ran on that GPU, 0 to 1; None where it is not told.

        Raises ReadingError where the GPU is lost.
        """
        try:
            return self._utilisation(self._gpus[number][0]) if number < len(self._gpus) else None
        except self._library.NVMLError as error:
            raise ReadingError(f"NVML: {error}") from error

    def _reading(self, handle: Any, uuid: str) -> GpuReading:
        nvml = self._library
        memory = self._told(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        return GpuReading(
            uuid,
            utilisation=self._utilisation(handle),
            memory_total_bytes=None if memory is None else int(memory.total),
            memory_used_bytes=None if memory is None else int(memory.used),
            power_watts=self._told(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000),
            power_limit_watts=self._told(lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000),
            energy_joules=self._told(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000),
        )

    def _utilisation(self, handle: Any) -> float | None:
        return self._told(lambda: self._library.nvmlDeviceGetUtilizationRates(handle).gpu / 100)

    def _told(self, ask: Callable[[], T]) -> T | None:
        """None for what this kind of GPU, or a part of one (MIG), does not tell."""
        try:
            return ask()
        except (self._library.NVMLError_NotSupported, self._library.NVMLError_NoPermission):
            return None
