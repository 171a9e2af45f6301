"""Items a second of a network alone, on a device, by the size of its batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.accelerator.nvml import watched

_WARM_UPS = 3
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Rate:
    """One measurement."""

    runtime: str
    precision: str
    rows: int
    items_per_second: float
    busy_percent: float | None
    """Of the GPU; None where NVML does not tell."""


def torch_rates(
    network: nn.Module,
    images: np.ndarray,
    device: str,
    precision: str,
    sizes: Sequence[int],
    seconds: float,
    *,
    from_host: bool,
) -> list[Rate]:
    """Rates of `network`, which computes in its weights' type. `images`: uint8, repeated to each size.

    `from_host` copies the batch from pinned memory to the device in every run, and the answer back, as a
    server must; otherwise the batch lies there already.
    """
    place = torch.device(device)
    moved = network.to(place, DTYPES[precision]).eval()
    # FP32 is FP32, as in the service; not by `fp32_precision`, after which torch.export fails.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    runtime = f"torch {torch.__version__}" + (", from host memory" if from_host else "")
    rates = []
    for rows in sizes:
        host = torch.from_numpy(np.resize(images, (rows, *images.shape[1:])))
        if place.type == "cuda":
            host = host.pin_memory()
        batch = host.to(place)

        def run(host: torch.Tensor = host, batch: torch.Tensor = batch) -> None:
            if from_host:
                moved(host.to(place, non_blocking=True)).cpu()
            else:
                moved(batch)

        with torch.inference_mode():
            rates.append(_measure(run, lambda: _wait(place), runtime, precision, rows, device, seconds))
    return rates


def onnx_rates(
    model: Path, images: np.ndarray, device: str, sizes: Sequence[int], seconds: float
) -> list[Rate]:
    """Rates of an ONNX file in ONNX Runtime, the batch bound on the device."""
    import onnxruntime  # only where it is there, and was built for the device

    number = int(device.partition(":")[2] or 0)
    provider: Any = (
        "CUDAExecutionProvider",
        {"device_id": str(number), "use_tf32": "0"},
    )  # as in the service
    providers = ["CPUExecutionProvider"] if device == "cpu" else [provider]
    if device != "cpu":
        onnxruntime.preload_dlls(directory="")  # as in the service
    session = onnxruntime.InferenceSession(str(model), providers=providers)
    place, name = device.partition(":")[0], session.get_inputs()[0].name
    rates = []
    for rows in sizes:
        batch = np.resize(images, (rows, *images.shape[1:]))
        binding = session.io_binding()
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(batch, place, number))
        binding.bind_output(session.get_outputs()[0].name, place, number)

        def run(binding: Any = binding) -> None:
            session.run_with_iobinding(binding)

        runtime = f"onnxruntime {onnxruntime.__version__}"
        rates.append(_measure(run, lambda: None, runtime, "fp32", rows, device, seconds))
    return rates


def _measure(
    run: Callable[[], None],
    wait: Callable[[], None],
    runtime: str,
    precision: str,
    rows: int,
    device: str,
    seconds: float,
) -> Rate:
    for _ in range(_WARM_UPS):
        run()
    wait()
    runs, started = 0, time.perf_counter()
    with watched(int(device.partition(":")[2] or 0)) as utilisation:
        while time.perf_counter() - started < seconds:
            # A device works off its queue by itself: it must not grow without end.
            for _ in range(_WARM_UPS):
                run()
            wait()
            runs += _WARM_UPS
        took = time.perf_counter() - started
    return Rate(runtime, precision, rows, runs * rows / took, utilisation.percent)


def _wait(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.synchronize(place)
