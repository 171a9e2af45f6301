"""Handler of the stages that treat each item by itself: preprocess and postprocess."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
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
    servables that are `heavy` whatever the size of their items, run in `threads` threads of `executor`
    (their work, decoding pictures, leaves the interpreter's lock), each item answered when it is done.
    """

    def __init__(
        self,
        store: ModelStore[T],
        run: Callable[[T, bytes], bytes],
        executor: Executor,
        threads: int,
        heavy: Callable[[T], bool] = lambda _: False,
    ) -> None:
        self._store = store
        self._run = run
        self._executor = executor
        self._threads = threads
        self._heavy = heavy

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        servable = self._store.get(model, version)
        if not self._heavy(servable) and sum(len(item.payload) for item in items) <= _INLINE_BYTES:
            started = time.monotonic()
            outcomes = [self._answer(model, servable, item) for item in items]
            observe(model, [time.monotonic() - started], outcomes)
            emit(outcomes)
            return

        def done(outcomes: list[Outcome]) -> None:
            observe(model, [outcome.compute_us / 1e6 for outcome in outcomes], outcomes)
            emit(outcomes)

        shared = _SharedItems(items, partial(self._answer, model, servable), done)
        await shared.run(self._executor, self._threads)

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


class _SharedItems:
    """Items that a few threads take one after the other.

    A thread wakes the event loop once for all that is done until the loop gets to it: a job and a wake-up for
    each item cost more than decoding a small picture.
    """

    def __init__(
        self,
        items: Sequence[Item],
        answer: Callable[[Item], Outcome],
        done: Callable[[list[Outcome]], None],
    ) -> None:
        """`done` is called on the event loop, `answer` is not."""
        self._left = deque(items)
        self._answer = answer
        self._done = done
        self._outcomes: deque[Outcome] = deque()
        self._told = False
        self._loop = asyncio.get_running_loop()

    async def run(self, executor: Executor, threads: int) -> None:
        jobs = [
            self._loop.run_in_executor(executor, self._work) for _ in range(min(threads, len(self._left)))
        ]
        try:
            await asyncio.gather(*jobs)
        finally:
            self._left.clear()
        self._collect()

    def _work(self) -> None:
        while True:
            try:
                item = self._left.popleft()
            except IndexError:
                return
            self._outcomes.append(self._answer(item))
            if not self._told:
                self._told = True
                self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        self._told = False  # first, so that what comes from here on is told again
        outcomes = []
        while self._outcomes:
            outcomes.append(self._outcomes.popleft())
        if outcomes:
            self._done(outcomes)


def observe(model: str, seconds: Sequence[float], outcomes: Sequence[Outcome]) -> None:
    """Counts items, and the times of the runs in which they were answered."""
    STAGE_SECONDS.labels(model).observe_all(seconds)
    codes = Counter(None if outcome.error is None else outcome.error.code for outcome in outcomes)
    for code, count in codes.items():
        count_outcome(model, code, count)
