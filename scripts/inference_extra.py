"""Prints which ONNX Runtime suits this machine: `gpu` where the NVIDIA driver finds a GPU, else `cpu`.

They are the extras of services/inference. onnxruntime-gpu brings 1.5 GB of CUDA libraries, and is built
for Linux on x86-64 alone. Runs before anything is installed: the standard library alone.
"""

from __future__ import annotations

import ctypes
import platform
import sys


def extra(gpus: int, system: str, machine: str) -> str:
    """`gpu` or `cpu`, from the number of GPUs that the driver counts and the kind of machine."""
    built = system == "Linux" and machine in ("x86_64", "AMD64")
    return "gpu" if gpus and built else "cpu"


def counted_gpus() -> int:
    """GPUs by the CUDA driver's own word; 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


if __name__ == "__main__":
    sys.stdout.write(extra(counted_gpus(), platform.system(), platform.machine()) + "\n")
