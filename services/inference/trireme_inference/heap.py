"""The C library's heap: what is freed stays with the process until it is told otherwise."""

from __future__ import annotations

import ctypes


def trim() -> None:
    """Gives freed memory back to the system, where the C library can (glibc). Takes milliseconds."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
