"""Many texts through the pipeline: windows of them in flight at once, answered in their order.

A slow reader of the answers holds back the windows, and these hold back the reading of the body. Answers
leave while more of the body is waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from trireme_common.errors import TriremeError
from trireme_gateway.batch_windows import Windows
from trireme_gateway.catalog import Route
from trireme_gateway.context import RequestContext
from trireme_gateway.items import encode_text
from trireme_gateway.pipeline import Outcome, Pipeline
from trireme_gateway.prediction import predict

WINDOW_TEXTS = 64
WINDOWS_IN_FLIGHT = 4

_Running = tuple[list[str], asyncio.Task[list[Outcome]]]


@dataclass(frozen=True, slots=True)
class TextOutcome:
    """`text` is None for the fault that ended the body early."""

    index: int
    text: str | None
    outcome: Outcome


class Batch:
    """One run over many texts; `total` and `failed` are final once `outcomes` is exhausted."""

    def __init__(
        self, pipeline: Pipeline, route: Route, context: RequestContext, window_seconds: float
    ) -> None:
        self._pipeline = pipeline
        self._route = route
        self._context = context
        self._window_seconds = window_seconds
        self.total = 0
        self.failed = 0

    async def outcomes(self, texts: AsyncIterator[list[str]]) -> AsyncGenerator[list[TextOutcome], None]:
        """Outcome of every text, in order, a window at a time as they are ready.

        A fault of the body in its first window is raised where no outcome has left yet, so that the request
        can be refused as a whole; a later one ends the run with an outcome of its own.
        """
        size = min(WINDOW_TEXTS, self._route.descriptor.max_items or WINDOW_TEXTS)
        windows = Windows(texts, size)
        running: deque[_Running] = deque()
        try:
            while waiting := _next_steps(windows, running):
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                # The body comes first, because it may refuse the whole.
                if (window := windows.taken()) is not None:
                    if windows.fault is not None and windows.in_first and not self.total:
                        raise windows.fault
                    if window:
                        running.append((window, asyncio.create_task(self._predict(window))))
                else:
                    window, task = running.popleft()
                    yield [self._next(*one) for one in zip(window, task.result(), strict=True)]
            if windows.fault is not None:
                yield [self._next(None, windows.fault)]
        finally:
            for _, task in running:
                task.cancel()
            await asyncio.gather(*(task for _, task in running), return_exceptions=True)
            await windows.close()

    async def _predict(self, window: list[str]) -> list[Outcome]:
        context = RequestContext(
            self._context.request_id,
            time.monotonic() + self._window_seconds,
            span=self._context.span,
            cache_control=self._context.cache_control,
        )
        try:
            return await predict(self._pipeline, self._route, [encode_text(text) for text in window], context)
        except TriremeError as error:
            # A window that could not be served costs its own texts; the run goes on.
            context.failed = len(window)
            return [error] * len(window)
        finally:
            self._context.merge(context)

    def _next(self, text: str | None, outcome: Outcome) -> TextOutcome:
        self.total += 1
        self.failed += isinstance(outcome, TriremeError)
        return TextOutcome(self.total - 1, text, outcome)


def _next_steps(windows: Windows, running: deque[_Running]) -> list[asyncio.Task[Any]]:
    """What to wait for: the oldest window's answers, and the next window while there is room for one."""
    steps: list[asyncio.Task[Any]] = [task for _, task in islice(running, 1)]
    if len(running) < WINDOWS_IN_FLIGHT and not windows.ended:
        steps.append(windows.reading())
    return steps


Encode = Callable[[TextOutcome], bytes]


async def lines(
    batch: Batch, texts: AsyncIterator[list[str]], encode: Encode, last: Callable[[], bytes]
) -> AsyncGenerator[bytes, None]:
    """NDJSON lines, those of a window joined into one chunk, then the last line."""
    async with aclosing(batch.outcomes(texts)) as windows:
        async for outcomes in windows:
            yield b"".join(map(encode, outcomes))
    yield last()
