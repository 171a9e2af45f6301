"""Handler of the stages that treat each item by itself: preprocess and postprocess."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.metrics import STAGE_SECONDS, count_outcome
from trireme_common.model_store import ModelStore
from trireme_common.shelf import Servable
from trireme_common.stage_stream import Emit, Item, Outcome
from trireme_common.tracing import log_ids

logger = structlog.get_logger(__name__)

T = TypeVar("T", bound=Servable)

# A message of short texts or of tensors costs less than handing it to a thread does.
_INLINE_BYTES = 32 * 1024


class ItemwiseHandler(Generic[T]):
    """Runs `run(servable, payload) -> payload` for every item of a message.

    Small messages run on the event loop and are answered together; large ones, and those of
    servables that are `heavy` whatever the size of their items, run in `executor`, an item a job
    (their work, decoding pictures, leaves the interpreter's lock), each answered when it is done.
    """

    def __init__(
        self,
        store: ModelStore[T],
        run: Callable[[T, bytes], bytes],
        executor: Executor,
        heavy: Callable[[T], bool] = lambda _: False,
    ) -> None:
        self._store = store
        self._run = run
        self._executor = executor
        self._heavy = heavy

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        servable = self._store.get(model, version)
        if not self._heavy(servable) and sum(len(item.payload) for item in items) <= _INLINE_BYTES:
            started = time.monotonic()
            outcomes = [self._answer(model, servable, item) for item in items]
            observe_run(model, time.monotonic() - started, outcomes)
            emit(outcomes)
            return
        loop = asyncio.get_running_loop()
        jobs = [loop.run_in_executor(self._executor, self._measured, model, servable, item) for item in items]
        for job in asyncio.as_completed(jobs):
            emit([await job])

    def _measured(self, model: str, servable: T, item: Item) -> Outcome:
        """One item as a run of its own."""
        outcome = self._answer(model, servable, item)
        observe_run(model, outcome.compute_us / 1e6, [outcome])
        return outcome

    def _answer(self, model: str, servable: T, item: Item) -> Outcome:
        started = time.monotonic()
        queue_us = int((started - item.received) * 1e6)
        try:
            item.check_alive()
            payload, error = self._run(servable, item.payload), None
        except TriremeError as refused:
            payload, error = b"", refused
        except Exception as failure:  # a step's fault on one input must not reach its neighbours
            # The message of a foreign exception may quote the input, so only its type is logged.
            kind = type(failure).__name__
            logger.error(
                "step_failed", model=model, request_id=item.request_id, kind=kind, **log_ids(item.span)
            )
            payload, error = b"", TriremeError(Code.INTERNAL, "internal error")
        return Outcome(item, payload, error, queue_us, int((time.monotonic() - started) * 1e6))


def observe_run(model: str, seconds: float, outcomes: Sequence[Outcome]) -> None:
    """Counts the items of one run, and its time."""
    STAGE_SECONDS.labels(model).observe(seconds)
    codes = Counter(None if outcome.error is None else outcome.error.code for outcome in outcomes)
    for code, count in codes.items():
        count_outcome(model, code, count)
