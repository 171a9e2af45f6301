"""How busy a GPU is, by NVIDIA's management library where that is there."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from trireme_inference.device_metrics import ReadingError
from trireme_inference.nvml import Nvml

_PERIOD_SECONDS = 0.1


class Utilisation:
    """Samples of one GPU, a tenth of a second apart."""

    def __init__(self) -> None:
        self.samples: list[float] = []

    @property
    def percent(self) -> float | None:
        """Mean share of time in which a kernel ran; None where nothing could be read."""
        return 100 * statistics.fmean(self.samples) if self.samples else None


@contextmanager
def watched(number: int) -> Iterator[Utilisation]:
    """Samples GPU `number`, as NVML counts them, until the end of the block."""
    found = Utilisation()
    try:
        library = Nvml()
    except ReadingError:
        yield found
        return
    stop = threading.Event()

    def sample() -> None:
        while not stop.wait(_PERIOD_SECONDS):
            with suppress(ReadingError):
                share = library.utilisation(number)
                if share is not None:
                    found.samples.append(share)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
        library.close()
