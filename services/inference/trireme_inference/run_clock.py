"""When the model itself began and ended, within a run: told by whoever runs it, asked by whoever ordered it.

A run passes through wrappers, another shape or another process, that need not know of it. It stays in one
thread, and so does what is told of it. Moments are seconds of the monotonic clock, which the processes of
a machine share.
"""

from __future__ import annotations

import threading

_TOLD = threading.local()


def tell(began: float, ended: float) -> None:
    """Says when the model began and ended, in the run that this thread is in."""
    _TOLD.span = began, ended


def told(began: float, ended: float) -> tuple[float, float]:
    """What was told since this was last asked in this thread, or the moments between which the run was
    made. A moment outside of those is not believed."""
    span: tuple[float, float] | None = _TOLD.__dict__.pop("span", None)
    if span is None:
        return began, ended
    first = min(max(began, span[0]), ended)
    return first, min(max(first, span[1]), ended)
