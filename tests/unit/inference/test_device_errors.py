"""Failures of a device are told from those of an input by the words of the runtimes."""

from __future__ import annotations

import pytest

from trireme_inference.backend import DeviceError
from trireme_inference.device_errors import run_error


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. "
        "CUDA failure 700: an illegal memory access was encountered ; GPU=0",
        "CUBLAS failure 14: CUBLAS_STATUS_INTERNAL_ERROR ; GPU=1",
        "CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0",
        "Cuda Runtime (unspecified launch failure)",
        "cudaErrorECCUncorrectable",
    ],
)
def test_the_device_failed(text: str) -> None:
    error = run_error(RuntimeError(text), "told")
    assert isinstance(error, DeviceError)
    assert error.detail == "told"


@pytest.mark.parametrize(
    "text",
    [
        "indices element out of data bounds, idx=9 must be within the inclusive range [-3,2]",
        "CUDA out of memory. Tried to allocate 20.00 MiB",
        "CUDA error: out of memory",
        "CUDA failure 2: out of memory ; GPU=0",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu",
        "",
    ],
)
def test_the_run_failed(text: str) -> None:
    assert type(run_error(RuntimeError(text), "told")) is not DeviceError
