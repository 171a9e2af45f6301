"""The devices of this machine: GPUs by the driver's own word, and which one a model gets."""

from __future__ import annotations

import ctypes

from trireme_common.errors import SpecError


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
