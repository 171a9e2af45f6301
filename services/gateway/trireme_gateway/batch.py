"""Many texts through the pipeline: windows of them in flight at once, answered in their order.

A slow reader of the answers holds back the windows, and these hold back the reading of the body.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from trireme_common.errors import Code, TriremeError
from trireme_gateway.catalog import Route
from trireme_gateway.context import RequestContext
from trireme_gateway.items import encode_text
from trireme_gateway.pipeline import Outcome, Pipeline
from trireme_gateway.prediction import predict

WINDOW_TEXTS = 64
WINDOWS_IN_FLIGHT = 4


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

    async def outcomes(self, texts: AsyncIterator[str]) -> AsyncGenerator[TextOutcome, None]:
        """Outcome of every text, in order.

        A fault of the body in its first window is raised, so that the request can be refused as a
        whole; a later one ends the run with an outcome of its own, because answers have left.
        """
        running: deque[tuple[list[str], asyncio.Task[list[Outcome]]]] = deque()
        fault: TriremeError | None = None
        size = min(WINDOW_TEXTS, self._route.descriptor.max_items or WINDOW_TEXTS)
        windows = _windows(texts, size)
        source: AsyncGenerator[list[str], None] | None = windows
        try:
            while True:
                while len(running) < WINDOWS_IN_FLIGHT and source is not None:
                    try:
                        window = await anext(source)
                    except StopAsyncIteration:
                        source = None
                    except TriremeError as error:
                        # Nobody waits any more, or nothing has left yet.
                        if error.code is Code.CANCELLED or (not self.total and not running):
                            raise
                        source, fault = None, error
                    else:
                        running.append((window, asyncio.create_task(self._predict(window))))
                if not running:
                    break
                window, task = running.popleft()
                for outcome in self._number(window, await task):
                    yield outcome
            if fault is not None:
                yield self._next(None, fault)
        finally:
            for _, task in running:
                task.cancel()
            await asyncio.gather(*(task for _, task in running), return_exceptions=True)
            await windows.aclose()

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

    def _number(self, window: list[str], outcomes: list[Outcome]) -> list[TextOutcome]:
        return [self._next(text, outcome) for text, outcome in zip(window, outcomes, strict=True)]

    def _next(self, text: str | None, outcome: Outcome) -> TextOutcome:
        self.total += 1
        self.failed += isinstance(outcome, TriremeError)
        return TextOutcome(self.total - 1, text, outcome)


async def _windows(texts: AsyncIterator[str], size: int) -> AsyncGenerator[list[str], None]:
    """Texts in windows of `size`. A fault is raised after the texts before it were handed on, unless
    it stands in the first window: then the body is refused whole."""
    window: list[str] = []
    first = True
    fault: TriremeError | None = None
    try:
        async for text in texts:
            window.append(text)
            if len(window) == size:
                yield window
                window, first = [], False
    except TriremeError as error:
        fault = error
    if window and (fault is None or not first):
        yield window
    if fault is not None:
        raise fault


Encode = Callable[[TextOutcome], bytes]


async def lines(
    batch: Batch, texts: AsyncIterator[str], encode: Encode, last: Callable[[], bytes]
) -> AsyncGenerator[bytes, None]:
    """NDJSON lines, those that are ready joined into one chunk, then the last line."""
    chunk: list[bytes] = []
    async with aclosing(batch.outcomes(texts)) as outcomes:
        async for outcome in outcomes:
            chunk.append(encode(outcome))
            if len(chunk) == WINDOW_TEXTS:
                yield b"".join(chunk)
                chunk = []
    yield b"".join((*chunk, last()))
