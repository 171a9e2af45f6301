"""Enforces the batch policy: the queue's bound, deadlines, instances, delivery.

Requests come and answers go on an event loop; batches run on the instances' threads. One that has
finished takes its next batch itself, if one is ripe: by way of the loop it would stand still for two
changes of threads, which take long on cores that the models keep busy. What both sides touch (queue,
deadlines, policy) is behind a lock. A request is answered once, through its sink, and all answers of a
batch reach a sink in one call. A full queue refuses the least important: a more important request takes
the place of the youngest of the last level.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from operator import attrgetter

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_inference.batch_policy import Policy
from trireme_inference.batch_queue import Batch, BatchQueue
from trireme_inference.deadlines import DeadlineHeap
from trireme_inference.instances import Instances
from trireme_inference.observer import Observer, Silent, report_of, served_by
from trireme_inference.refusals import refusal
from trireme_inference.requests import Answer, Ran, Request, Sink
from trireme_inference.slicing import cut

logger = structlog.get_logger(__name__)

Run = Callable[[Sequence[Request]], list[Answer]]
Key = Callable[[Request], Hashable]
"""What requests must have in common to share a run."""

_SWEEP_SECONDS = 0.05
_LONGEST_ALARM_SECONDS = 3600.0


class Batcher:
    """Schedules the requests of one model version. May be made in any thread; used on `loop` alone.

    `default_level`: priority level of a request that names none, the middle one where that is 0.
    `queue_seconds`: longest wait for an instance.
    """

    def __init__(
        self,
        run: Run,
        policy: Policy,
        loop: asyncio.AbstractEventLoop,
        *,
        instances: int = 1,
        max_queue_size: int = 4096,
        priority_levels: int = 1,
        default_level: int = 0,
        queue_seconds: float | None = None,
        key: Key = attrgetter("shapes"),
        observer: Observer | None = None,
        name: str = "model",
    ) -> None:
        self._run = run
        self._key, self._levels = key, priority_levels
        self._policy, self._max_rows = policy, policy.max_rows
        self._loop = loop
        self._max_queue_size = max_queue_size
        self._observer: Observer = observer or Silent()
        self._queue: BatchQueue[Request] = BatchQueue(policy, priority_levels)
        self._default_level = default_level or (priority_levels + 1) // 2
        self._deadlines = DeadlineHeap(queue_seconds)
        self._idle = instances
        self._queued = 0
        self._lock = threading.RLock()
        self._out = 0
        """Batches that the loop has not heard of since they left the queue."""
        self._swept = -math.inf
        self._pump_scheduled = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = math.inf
        self._closing = self._cut = False
        self._empty = asyncio.Event()
        self._instances = Instances(instances, name, self)

    @property
    def pending(self) -> int:
        """Requests (or slices of long ones) that wait for an instance."""
        return self._queued

    def submit(self, requests: Sequence[Request]) -> None:
        """Queues requests that arrived together; each is answered through its sink, refusals included."""
        now = time.monotonic()
        refused: list[Answer] = []
        with self._lock:
            for request in requests:
                error = self._refusal(request, now)
                if error is not None:
                    refused.append(Answer(request, error=error))
                elif request.rows <= self._max_rows:
                    self._enqueue(request)
                else:
                    self._cut = True
                    for piece in cut(request, self._max_rows, self._told_whole):
                        self._enqueue(piece)
        if refused:
            self._deliver(refused)
        if not self._pump_scheduled:
            self._pump_scheduled = True
            # Requests of other streams that are ready in this turn of the loop ride along.
            self._loop.call_soon(self._pump)

    async def close(self, grace_seconds: float = 30.0) -> None:
        """Answers what waits, without delay, and ends the instances. What is left after the grace fails."""
        self._closing = True
        self._pump()
        try:
            async with asyncio.timeout(grace_seconds):
                while self._queued or self._out:
                    self._empty.clear()
                    await self._empty.wait()
        except TimeoutError:
            logger.error("instances_left_busy", count=self._out)
            self._fail(self._expired(math.inf), Code.MODEL_NOT_READY)
        if self._alarm is not None:
            self._alarm.cancel()
        self._instances.close()

    def _refusal(self, request: Request, now: float) -> TriremeError | None:
        if self._closing:
            return refusal(Code.MODEL_NOT_READY)
        if request.deadline <= now:
            return refusal(Code.DEADLINE_EXCEEDED)
        needed = -(-request.rows // self._max_rows)
        if needed > self._max_queue_size:
            most = self._max_queue_size * self._max_rows
            return TriremeError(
                Code.INVALID_ARGUMENT, f"{request.rows} rows; the model takes at most {most} at a time"
            )
        if self._queued + needed > self._max_queue_size and now - self._swept > _SWEEP_SECONDS:
            self._swept = now
            self._queue.sweep(now)
            self._answer_gone()
        missing = self._queued + needed - self._max_queue_size
        if missing > 0:
            level = self._level(request)
            if self._queue.evictable(level) < missing:
                return refusal(Code.OVERLOADED)
            evicted = [found for _ in range(missing) if (found := self._queue.evict(level)) is not None]
            self._queued -= len(evicted)
            self._fail(evicted, Code.OVERLOADED)
        return None

    def _enqueue(self, request: Request) -> None:
        self._deadlines.add(request)
        level = 0 if self._levels == 1 else self._level(request)
        self._queue.add(self._key(request), request, level)
        self._queued += 1

    def _level(self, request: Request) -> int:
        """Lane of a request: 0 is the most important; without a level that exists, the default one."""
        named = 1 <= request.priority <= self._levels
        return (request.priority if named else self._default_level) - 1

    def _pump(self) -> None:
        """Gives every idle instance the batch that is ripe, and sets the alarm for what is not."""
        self._pump_scheduled = False
        with self._lock:
            while self._idle and (batch := self._taken()) is not None:
                self._idle -= 1
                self._instances.begin(batch)
        self._answer_gone()
        self._set_alarm()
        if self._closing:
            self._empty.set()

    def _taken(self) -> Batch[Request] | None:
        """The batch that is ripe, out of the queue. Only with the lock."""
        if not self._queued:
            return None
        batch = self._queue.take(time.monotonic(), drain=self._closing)
        if batch is not None:
            self._queued -= len(batch.requests)
            self._out += 1
            self._deadlines.begun(batch.requests)
        return batch

    # As the work of its instances, on their threads

    def run(self, batch: Batch[Request]) -> Ran:
        try:
            return Ran(self._run(batch.requests))
        except Exception:  # Execution answers what a model does wrong; this is a defect of ours
            logger.exception("batch_failed")
            return Ran([Answer(request, error=refusal(Code.INTERNAL)) for request in batch.requests])

    def follow(self, batch: Batch[Request], ran: Ran, seconds: float) -> Batch[Request] | None:
        following = None
        with self._lock:
            try:
                self._queue.finished(batch, time.monotonic())
                if ran.as_one:
                    complete = len(ran.answers) == len(batch.requests)
                    rows = batch.rows if complete else sum(answer.request.rows for answer in ran.answers)
                    self._policy.ran(batch.key, rows, seconds)
                following = self._taken()
            except Exception:  # a defect of ours must take neither the instance nor these answers with it
                logger.exception("scheduling_failed")
            self._idle += following is None
        return following

    def tell(self, batch: Batch[Request], ran: Ran) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._finished, batch, ran)
        except RuntimeError:  # the loop has ended: nobody waits any more
            return False
        return True

    # On the loop again

    def _finished(self, batch: Batch[Request], ran: Ran) -> None:
        answers = ran.answers
        with self._lock:
            self._out -= 1
            if ran.as_one:
                self._policy.answered(time.monotonic() - batch.oldest, batch.reason)
        self._pump()
        if answers:
            self._observer.batch(report_of(batch, answers, time.monotonic(), cut=self._cut))
        if len(answers) < len(batch.requests):
            self._answer_left_out(batch, answers)
        self._deliver(answers)

    def _answer_left_out(self, batch: Batch[Request], answers: list[Answer]) -> None:
        """Members that had gone before the run: their callers left, or their time was up."""
        answered = {answer.request for answer in answers}
        self._settle_gone([request for request in batch.requests if request not in answered])

    def _answer_gone(self) -> None:
        with self._lock:
            gone = self._queue.take_gone()
            self._queued -= len(gone)
        if gone:
            self._settle_gone(gone)

    def _settle_gone(self, requests: Sequence[Request]) -> None:
        self._fail([request for request in requests if request.caller.cancelled], Code.CANCELLED)
        self._fail([request for request in requests if not request.caller.cancelled], Code.DEADLINE_EXCEEDED)

    def _fail(self, requests: Sequence[Request], code: Code) -> None:
        if requests:
            error = refusal(code)
            self._deliver([Answer(request, error=error) for request in requests])

    def _deliver(self, answers: Sequence[Answer]) -> None:
        by_sink: dict[Sink, list[Answer]] = {}
        for answer in answers:
            request = answer.request
            if request.answered:
                continue
            request.answered = True
            if request.parts:
                request.parts = ()
            by_sink.setdefault(request.sink, []).append(answer)
            if answer.error is not None and not request.part:
                self._observer.failures(answer.error.code, 1, time.monotonic() - request.arrived)
        for sink, theirs in by_sink.items():
            sink.deliver(theirs)

    def _expired(self, now: float) -> list[Request]:
        with self._lock:
            return self._deadlines.pop_expired(now)

    def _set_alarm(self) -> None:
        """One timer for the earliest of all deadlines and, while an instance is idle, the policy's delay."""
        with self._lock:
            at = self._deadlines.next()
            if self._idle and self._queued:
                at = min(at, self._queue.due(time.monotonic()))
        if at >= self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        # uvloop's timers count whole milliseconds, and one that fires early would spin.
        delay = math.ceil(min(max(0.0, at - time.monotonic()), _LONGEST_ALARM_SECONDS) * 1000) / 1000
        self._alarm_at = at
        self._alarm = self._loop.call_later(delay, self._ring)

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, math.inf
        self._fail(self._expired(time.monotonic()), Code.DEADLINE_EXCEEDED)
        self._pump()

    def _told_whole(self, answer: Answer) -> None:
        """Counts a request that was cut, now that it is answered."""
        now = time.monotonic()
        if answer.error is None:
            self._observer.served(served_by([answer], now))
        else:
            self._observer.failures(answer.error.code, 1, now - answer.request.arrived)
