"""Host memory that a GPU reads directly, from the CUDA driver: an array in ordinary memory is copied by the
driver once more on its way, and the thread waits for that."""

from __future__ import annotations

import ctypes
import threading
import weakref

import numpy as np

from trireme_common.tensors import Array
from trireme_inference.devices import context

_PORTABLE = 1
_SMALLEST = 64 * 1024


class PinnedMemory:
    """Buffers of pinned memory that are used again, one for each name in each thread."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._own = threading.local()

    def copy(self, name: str, array: Array) -> Array:
        """A copy of `array`, valid until the next of that name in this thread; `array` itself where the
        driver has no such memory left."""
        buffers: dict[str, Array] = self._own.__dict__
        buffer = buffers.get(name)
        if buffer is None or len(buffer) < array.nbytes:
            grown = _allocate(self._device, 1 << (max(array.nbytes, _SMALLEST) - 1).bit_length())
            if grown is None:
                return array
            buffer = buffers[name] = grown
        copied = buffer[: array.nbytes].view(array.dtype).reshape(array.shape)
        np.copyto(copied, array)
        return copied


def _allocate(device: str, size: int) -> Array | None:
    address = ctypes.c_void_p(None)
    try:
        with context(device) as driver:
            if driver.cuMemHostAlloc(ctypes.byref(address), ctypes.c_size_t(size), _PORTABLE):
                return None
    except OSError:
        return None
    memory = (ctypes.c_uint8 * size).from_address(address.value or 0)
    buffer: Array = np.ctypeslib.as_array(memory)
    # What numpy views keep alive is `memory`, so it goes with the last of them.
    weakref.finalize(memory, _free, device, address.value or 0)
    return buffer


def _free(device: str, address: int) -> None:
    try:
        with context(device) as driver:
            driver.cuMemFreeHost(ctypes.c_void_p(address))
    except OSError:
        pass  # the driver is gone, and what it held with it
