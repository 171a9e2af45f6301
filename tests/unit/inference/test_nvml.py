"""The adapter over a fake of NVIDIA's binding, and over whatever is installed here."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from trireme_inference.device_metrics import GpuReading, ReadingError
from trireme_inference.nvml import Nvml


class Refused(Exception):
    """Any error of the library."""


class NotSupported(Refused):
    pass


class NoPermission(Refused):
    pass


def unsupported(_: Any) -> None:
    raise NotSupported


def binding(**changes: Any) -> ModuleType:
    """`pynvml` of a machine with one GPU, but for `changes`."""
    module: Any = ModuleType("pynvml")
    module.NVMLError, module.NVMLError_NotSupported = Refused, NotSupported
    module.NVMLError_NoPermission = NoPermission
    module.nvmlInit = module.nvmlShutdown = lambda: None
    module.nvmlDeviceGetCount = lambda: 1
    module.nvmlDeviceGetHandleByIndex = lambda number: number
    module.nvmlDeviceGetUUID = lambda handle: "GPU-a"
    module.nvmlDeviceGetMemoryInfo = lambda handle: SimpleNamespace(total=80, used=20, free=60)
    module.nvmlDeviceGetUtilizationRates = lambda handle: SimpleNamespace(gpu=25, memory=5)
    module.nvmlDeviceGetPowerUsage = lambda handle: 75_500
    module.nvmlDeviceGetEnforcedPowerLimit = lambda handle: 300_000
    module.nvmlDeviceGetTotalEnergyConsumption = lambda handle: 5_000
    for name, value in changes.items():
        setattr(module, name, value)
    return module


def opened(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> Nvml:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return Nvml()


def test_milli_units_and_percent_become_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = opened(monkeypatch, binding())
    assert nvml.read() == [GpuReading("GPU-a", 0.25, 80, 20, 75.5, 300.0, 5.0)]
    assert (nvml.utilisation(0), nvml.utilisation(1)) == (0.25, None)
    nvml.close()


def test_what_a_gpu_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = {
        "nvmlDeviceGetUtilizationRates": unsupported,
        "nvmlDeviceGetTotalEnergyConsumption": unsupported,
        "nvmlDeviceGetMemoryInfo": unsupported,
    }
    nvml = opened(monkeypatch, binding(**silent))
    assert nvml.read() == [GpuReading("GPU-a", None, None, None, 75.5, 300.0, None)]
    assert nvml.utilisation(0) is None


def test_a_lost_gpu_and_a_missing_driver_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> None:
        raise Refused("GPU is lost")

    nvml = opened(monkeypatch, binding(nvmlDeviceGetUtilizationRates=lost))
    for ask in (nvml.read, lambda: nvml.utilisation(0)):
        with pytest.raises(ReadingError, match="GPU is lost"):
            ask()
    with pytest.raises(ReadingError, match="lost"):
        opened(monkeypatch, binding(nvmlInit=lost))


def test_a_missing_binding_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(ReadingError, match="nvidia-ml-py"):
        Nvml()


def test_what_is_installed_here_answers_or_says_why_not() -> None:
    said, gpus = "", []
    try:
        nvml = Nvml()
        gpus = nvml.read()
        nvml.close()
    except ReadingError as error:
        said = str(error)
    assert gpus or said.startswith(("nvidia-ml-py", "NVML: "))
    assert len({gpu.uuid for gpu in gpus}) == len(gpus)
