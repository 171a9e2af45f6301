"""Which failures of a run are the device's: by the words of CUDA's libraries, which the runtimes pass on."""

from __future__ import annotations

import re

from trireme_inference.backend import DeviceError, RunError

# torch: "CUDA error: ...", "CUBLAS_STATUS_...", "cuDNN error: ...", "NCCL Error"; ONNX Runtime: "CUDA failure
# 700: ...", "CUBLAS failure 14: ...", "CUDNN failure 4: ..."; TensorRT behind it: "Cuda Runtime (...)".
_WORDS = re.compile(
    r"\b(?:CUDA|cuBLAS|cuBLASLt|cuDNN|cuFFT|cuSPARSE|cuSOLVER|cuRAND) (?:error|failure)\b"
    r"|\b(?:CUBLAS|CUDNN|CUFFT|CUSPARSE|CUSOLVER|CURAND)_STATUS_(?!SUCCESS)"
    r"|\bcudaError[A-Z]|\bCUDA_ERROR_|\bCuda Runtime \(",
    re.IGNORECASE,
)
# Too little memory for one run says nothing of the next one.
_MEMORY = re.compile(
    r"out of memory|OutOfMemory|ALLOC_FAILED|MemoryAllocation|cuda failure 2\b", re.IGNORECASE
)


def run_error(error: Exception, detail: str) -> RunError:
    """What a backend raises for `error` of its runtime: DeviceError where the device failed, which after
    most of CUDA's errors fails every later run of the process too. `detail` as in RunError."""
    text = str(error)
    if _WORDS.search(text) and not _MEMORY.search(text):
        return DeviceError(detail)
    return RunError(detail)
