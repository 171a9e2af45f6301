"""The devices of this machine: GPUs by the driver's own word, and which one a model gets."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from trireme_common.errors import SpecError
from trireme_common.memory import NoRoomError, Shortage

# What a model needs beside its weights: what its layers hand on, the runtime's workspaces.
_ROOM_FACTOR = 1.2
_ROOM_BYTES = 256 * 1024 * 1024


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

    `auto` takes `default`, and where that is `auto` too the first GPU, else the CPU; `cuda` is the first
    GPU (placement.py spreads the instances of both over all). Only `auto` falls back: raises SpecError for
    a `cuda` device that is not there.
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


def require_room(weights_bytes: int, free_bytes: int | None, device: str, limit_bytes: int = 0) -> None:
    """Raises where a model with weights of so many bytes does not fit on a device, saying by how much:
    NoRoomError where others that stand there could make room, SpecError where it may not take so much.

    `free_bytes`: None where the driver does not tell. `limit_bytes`: the most that the model may take; 0
    is no limit.
    """
    needed = int(weights_bytes * _ROOM_FACTOR) + _ROOM_BYTES
    told = (
        f"does not fit on {device}: the weights take {_mib(weights_bytes)} and with room to run about "
        f"{_mib(needed)}, which is"
    )
    if limit_bytes and needed > limit_bytes:
        raise SpecError(
            f"{told} {_mib(needed - limit_bytes)} more than TRIREME_INFERENCE_GPU_MEMORY_LIMIT_BYTES of "
            f"{_mib(limit_bytes)}"
        )
    if free_bytes is not None and needed > free_bytes:
        missing = needed - free_bytes
        raise NoRoomError(
            f"{told} {_mib(missing)} more than its free memory of {_mib(free_bytes)}",
            Shortage(device, missing),
        )


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def free_gpu_bytes(device: str) -> int | None:
    """Free memory of `cuda:N` by the driver's word; None where it does not tell."""
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    try:
        with context(device) as driver:
            told = driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0
    except OSError:
        return None
    return free.value if told else None


@contextmanager
def context(device: str) -> Iterator[ctypes.CDLL]:
    """The CUDA driver with the primary context of `cuda:N` current, which the runtimes share. Raises
    OSError where there is no driver or no such GPU."""
    number = int(device.partition(":")[2] or 0)
    driver = ctypes.CDLL("libcuda.so.1")
    handle, primary = ctypes.c_int(0), ctypes.c_void_p(None)
    if (
        driver.cuInit(0)
        or driver.cuDeviceGet(ctypes.byref(handle), number)
        or driver.cuDevicePrimaryCtxRetain(ctypes.byref(primary), handle)
    ):
        raise OSError(f"the CUDA driver does not open GPU {number}")
    try:
        if driver.cuCtxPushCurrent_v2(primary):
            raise OSError(f"the CUDA driver does not enter GPU {number}")
        try:
            yield driver
        finally:
            driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p(None)))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(handle)
