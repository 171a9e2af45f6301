"""Freed memory goes back to the system when the heap is trimmed."""

import ctypes

from trireme_common.process_memory import resident_bytes
from trireme_inference import heap

BLOCK = 64 * 1024
BLOCKS = 1024


def test_holes_between_memory_in_use_go_back() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = [libc.malloc(BLOCK) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    for block in blocks[::2]:  # holes between what is in use, which nothing gives back by itself
        libc.free(block)
    before = resident_bytes()
    heap.trim()
    assert before - resident_bytes() > BLOCK * BLOCKS // 4
    for block in blocks[1::2]:
        libc.free(block)
