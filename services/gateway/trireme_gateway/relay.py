"""Carries the items of many requests from hop to hop.

Items of one model version that wait to set out leave together, and those that one message answers go on
together to the next hop: a request costs one task and one timer for all hops, and everything else of a hop is
paid by the message. Items come apart where their answers do: none waits for its neighbours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from trireme_common.errors import Code, TriremeError
from trireme_gateway.catalog import INFERENCE
from trireme_gateway.context import RequestContext
from trireme_gateway.hop.ports import Hop, HopItem, HopRequest, Key, UnansweredError, by_request
from trireme_gateway.request_trace import HopSpans

Outcomes = list[bytes | TriremeError]
_NOT_REACHED = -1.0
_SET_OUT_ITEMS = 32
"""So many do not wait for the rest of the event loop's round: the stages should be at work while it goes on.
Else callers that are answered together ask together again, and gateway and stages only take turns."""


class Run(HopRequest):
    """The items of one request between the first hop and the last that it is to make."""

    __slots__ = ("failed", "future", "items", "key", "last", "queue_us", "remaining", "seconds", "spans")

    def __init__(
        self, key: Key, payloads: Sequence[bytes], context: RequestContext, first: int, last: int, hops: int
    ) -> None:
        super().__init__(context.request_id, context.deadline, context.priority)
        self.key = key
        self.last = last
        self.items = [HopItem(self, payload) for payload in payloads]
        for item in self.items:
            item.step = first
        self.remaining = len(self.items)
        self.failed = 0
        self.seconds = [_NOT_REACHED] * hops
        """The longest that an item has waited for each hop."""
        self.queue_us = -1
        """The longest that an item has waited in the queue of inference; -1 where none was answered there."""
        self.spans: HopSpans | None = None
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, outcome: bytes | TriremeError | None) -> None:
        """One item goes no further."""
        self.remaining -= 1
        self.failed += not isinstance(outcome, bytes)
        if not self.remaining and not self.future.done():
            self.future.set_result(None)

    def expire(self) -> None:
        """The request's time is up."""
        if not self.future.done():
            late = TriremeError(Code.DEADLINE_EXCEEDED, "the request's time was up before its answer came")
            self.future.set_exception(late)


class _Step:
    """One hop, as the taker of what is sent over it."""

    def __init__(self, stage: str, index: int, hop: Hop, following: _Step | None, *, together: bool) -> None:
        self.stage = stage
        self.hop = hop
        self._index = index
        self._following = following
        self._together = together
        self.queues = stage == INFERENCE
        """Whether the stage says how long an item has waited in its queue."""

    def send(self, key: Key, items: Sequence[HopItem], now: float) -> None:
        for item in items:
            item.step = self._index
            item.sent = now
            spans = item.request.spans
            if spans is not None:
                item.traceparent = spans.sent(self.stage)
        for part in [items] if self._together else by_request(items):
            self.hop.send(key, part, self)

    def took(self, items: Sequence[HopItem], now: float) -> None:
        """As `Taker.took`: what succeeded goes on, by model version."""
        index = self._index
        onward: dict[Key, list[HopItem]] = {}
        for item in items:
            run: Run = item.request
            outcome = item.outcome
            seconds = now - item.sent
            if seconds > run.seconds[index]:
                run.seconds[index] = seconds
            if self.queues and item.queue_us > run.queue_us:
                run.queue_us = item.queue_us
            if run.spans is not None:
                run.spans.answered(self.stage, item)
            if index < run.last and isinstance(outcome, bytes):
                item.payload = outcome
                group = onward.get(run.key)
                if group is None:
                    onward[run.key] = [item]
                else:
                    group.append(item)
            else:
                run.settle(outcome)
        if self._following is not None:
            for key, group in onward.items():
                self._following.send(key, group, now)


class Relay:
    """The hops in their order, each by the name of its stage."""

    def __init__(
        self,
        hops: Sequence[tuple[str, Hop]],
        observe_stage: Callable[[str, float], None],
        *,
        together: bool = True,
    ) -> None:
        """`together`: whether items of several requests share anything at all."""
        self._observe_stage = observe_stage
        self._steps: list[_Step] = []
        following: _Step | None = None
        for index, (stage, hop) in reversed(list(enumerate(hops))):
            following = _Step(stage, index, hop, following, together=together)
            self._steps.insert(0, following)
        self._waiting: list[HopItem] = []

    async def run(
        self,
        key: Key,
        payloads: Sequence[bytes],
        context: RequestContext,
        first: int = 0,
        last: int | None = None,
    ) -> Outcomes:
        """The outcome of each payload after the hops from `first` to `last`; one that failed goes no further.

        The time of every hop is spent on the context. Raises TriremeError: UnansweredError where no item
        succeeded and nobody answered one, DEADLINE_EXCEEDED at the context's deadline.
        """
        if not payloads:
            return []
        hops = len(self._steps)
        run = Run(key, payloads, context, first, hops - 1 if last is None else last, hops)
        if context.span is not None:
            run.spans = HopSpans.below(context.span, key, run.items)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(context.deadline - time.monotonic(), run.expire)
        if not self._waiting:
            loop.call_soon(self._set_out)
        self._waiting += run.items
        if len(self._waiting) >= _SET_OUT_ITEMS:
            self._set_out()
        try:
            await run.future
        except BaseException as error:
            self._leave(run, error)
            run.items = []
            raise
        finally:
            timer.cancel()
            self._account(run, context)
        outcomes = [item.outcome for item in run.items if item.outcome is not None]
        run.items = []  # which point to the run: a ring that only the collector would free
        if run.failed == len(outcomes):
            _raise_unanswered(outcomes)
        return outcomes

    def _set_out(self) -> None:
        """Whatever has come since the event loop's round before."""
        waiting, self._waiting = self._waiting, []
        groups: dict[tuple[int, Key], list[HopItem]] = {}
        for item in waiting:
            if not item.request.future.done():
                groups.setdefault((item.step, item.request.key), []).append(item)
        now = time.monotonic()
        for (step, key), items in groups.items():
            self._steps[step].send(key, items, now)

    def _leave(self, run: Run, error: BaseException) -> None:
        """Nobody waits for the run any more."""
        now = time.monotonic()
        for index, step in enumerate(self._steps):
            items = [item for item in run.items if item.call is not None and item.step == index]
            for item in items:
                run.seconds[index] = max(run.seconds[index], now - item.sent)
            if items:
                step.hop.withdraw(items)
        if run.spans is not None:
            run.spans.end(error)

    def _account(self, run: Run, context: RequestContext) -> None:
        for step, seconds in zip(self._steps, run.seconds, strict=True):
            if seconds != _NOT_REACHED:
                context.spend(step.stage, seconds)
                self._observe_stage(step.stage, seconds)
                if step.queues and run.queue_us >= 0:
                    context.spend("queue", run.queue_us / 1e6)


def _raise_unanswered(outcomes: Outcomes) -> None:
    for outcome in outcomes:
        if isinstance(outcome, UnansweredError):
            raise outcome.afresh()
