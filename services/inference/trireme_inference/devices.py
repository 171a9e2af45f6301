"""What this machine lends a model: CPUs by affinity and cgroup, GPUs by the driver's own word."""

from __future__ import annotations

import ctypes
import math
import os
from pathlib import Path

from trireme_common.errors import SpecError

_CGROUP = Path("/sys/fs/cgroup")


def cpu_count(cgroup: Path = _CGROUP) -> int:
    """CPUs this process may use: its affinity, or the cgroup's quota (v2, v1) where that is less."""
    allowed = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _quota(cgroup: Path) -> float | None:
    try:
        limit, period = (cgroup / "cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        pass
    try:
        limit_us = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        return None if limit_us <= 0 else limit_us / int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None


def gpu_count() -> int:
    """GPUs that the CUDA driver counts; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def resolve_device(wanted: str, default: str, gpus: int) -> str:
    """`cpu` or `cuda:N` for a model that asks for `wanted`, on a machine with `gpus` usable GPUs.

    `auto` takes `default`, and where that is `auto` too the first GPU, else the CPU. Only `auto`
    falls back: raises SpecError for a `cuda` device that is not there.
    """
    device = default if wanted == "auto" else wanted
    if device == "auto":
        return "cuda:0" if gpus else "cpu"
    if device == "cpu":
        return device
    number = int(device.partition(":")[2] or 0)
    if not gpus:
        raise SpecError(
            f"device {device} is asked for, but CUDA is missing here (driver or onnxruntime-gpu); "
            "use 'auto' or 'cpu', or the GPU image on a GPU node"
        )
    if number >= gpus:
        raise SpecError(f"device cuda:{number} is asked for, but the last GPU here is cuda:{gpus - 1}")
    return f"cuda:{number}"
