"""A loaded model version: its description, the check of its inputs, its scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from trireme_common.stage_state import ModelDescriptor
from trireme_inference import heap
from trireme_inference.backend import Backend
from trireme_inference.batcher import Batcher
from trireme_inference.signature import Signature


class InferenceServable:
    """What the servicers use of a model version. Belongs to the event loop, but for `__init__`."""

    def __init__(
        self,
        descriptor: ModelDescriptor,
        notes: str,
        signature: Signature,
        batcher: Batcher,
        backend: Backend,
        *,
        close_grace_seconds: float = 30.0,
        on_close: Sequence[Callable[[], None]] = (),
    ) -> None:
        self.descriptor = descriptor
        self.notes = notes
        self.signature = signature
        self.batcher = batcher
        self._backend = backend
        self._close_grace_seconds = close_grace_seconds
        self._on_close = on_close
        self.held: Mapping[str, int] = {}
        """Bytes that it was found to take once it was loaded, by device."""

    async def close(self) -> None:
        """Answers what is queued, then frees the model."""
        await self.batcher.close(self._close_grace_seconds)
        for forget in self._on_close:
            forget()
        # Freeing gigabytes, or ending a process, takes a while.
        await asyncio.to_thread(self._free)

    def _free(self) -> None:
        self._backend.close()
        heap.trim()
