"""How busy a GPU is, by NVIDIA's management library where that is there."""

from __future__ import annotations

import ctypes
import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PERIOD_SECONDS = 0.1


class _Rates(ctypes.Structure):
    """nvmlUtilization_t, in percent."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Utilisation:
    """Samples of one GPU, a tenth of a second apart."""

    def __init__(self) -> None:
        self.samples: list[int] = []

    @property
    def percent(self) -> float | None:
        """Mean share of time in which a kernel ran; None where nothing could be read."""
        return statistics.fmean(self.samples) if self.samples else None


@contextmanager
def watched(number: int) -> Iterator[Utilisation]:
    """Samples GPU `number`, as NVML counts them, until the end of the block."""
    found = Utilisation()
    stop = threading.Event()
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        yield found
        return
    handle = ctypes.c_void_p(None)
    usable = library.nvmlInit_v2() == 0 and not library.nvmlDeviceGetHandleByIndex_v2(
        ctypes.c_uint(number), ctypes.byref(handle)
    )

    def sample() -> None:
        rates = _Rates()
        while usable and not stop.wait(_PERIOD_SECONDS):
            if library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(rates)) == 0:
                found.samples.append(rates.gpu)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
        library.nvmlShutdown()
