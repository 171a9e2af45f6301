"""Imports at the start of a process, without the collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_imports() -> Iterator[None]:
    """What is imported inside is taken for what lives for good.

    The collector would walk the modules some hundred times, for about a tenth of a start, and find next to
    nothing: of what they make, one object in a hundred is garbage.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
