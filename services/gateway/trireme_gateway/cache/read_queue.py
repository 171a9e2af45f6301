"""Questions of many callers to one server, asked together: one command at a time, no timer anywhere.

What is asked while a command is under way goes together in the next; an idle queue asks at once. The command
runs in a task of the queue's own. Callers only wait for futures: one who leaves in the middle of a command
touches no connection, so no later answer is off by one.

A slow server: nobody waits longer than one time-out, which covers queueing, connecting and asking. Behind a
command that is late (a fifth of the time-out), or right after a failure, nobody queues; what queued behind a
failed one is answered with it; the breaker's probe is asked on nobody's time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from trireme_gateway.cache.breaker import Breaker, Verdict
from trireme_gateway.cache.events import CacheEvents, Fault
from trireme_gateway.cache.redis_client import RedisLimits

_LATE = 0.2
"""Part of the time-out after which nobody queues behind a command."""

A = TypeVar("A")


class _Reader(Generic[A]):
    """A caller's keys and the future that it waits for."""

    __slots__ = ("answer", "deadline", "names")

    def __init__(self, names: Sequence[bytes], deadline: float) -> None:
        self.names = names
        self.deadline = deadline
        self.answer: asyncio.Future[Sequence[A | None]] = asyncio.get_running_loop().create_future()

    def resolve(self, values: Sequence[A | None]) -> None:
        if not self.answer.done():
            self.answer.set_result(values)


Ask = Callable[[list[bytes], float], Awaitable[Sequence[A | None] | None]]


class ReadQueue(Generic[A]):
    """Made inside a running event loop. One server's breaker may watch over several queues."""

    def __init__(self, ask: Ask[A], breaker: Breaker, events: CacheEvents, limits: RedisLimits) -> None:
        """`ask` is given names and the loop's time by which to answer; it gives an answer for each, or None
        after a failure, which it has told the breaker and counted."""
        self._ask = ask
        self._breaker = breaker
        self._events = events
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._readers: deque[_Reader[A]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._asking: _Reader[A] | None = None
        self._late = False

    async def read(self, names: list[bytes]) -> list[A | None]:
        """Answers in the order of `names`, None for each that was not to be had in time."""
        readers = self._enqueue(names)
        if not readers:
            return [None] * len(names)
        answers: list[A | None] = []
        for reader in readers:
            answers += await reader.answer
        return answers

    async def close(self) -> None:
        """Answers who waits."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._give_up()

    def _enqueue(self, names: list[bytes]) -> list[_Reader[A]]:
        """Readers to wait for: none where the caller is not to wait."""
        verdict = self._breaker.ask()
        if verdict is Verdict.REFUSE:
            self._events.on_error(Fault.BREAKER_OPEN, len(names))
            return []
        if self._task is not None and verdict is Verdict.PASS and (self._late or self._breaker.suspicious):
            self._events.on_error(Fault.SLOW, len(names))
            return []
        step = self._limits.max_keys
        deadline = self._loop.time() + self._limits.timeout_seconds
        readers: list[_Reader[A]] = [
            _Reader(names[start : start + step], deadline) for start in range(0, len(names), step)
        ]
        if verdict is Verdict.PROBE:
            self._events.on_error(Fault.BREAKER_OPEN, len(names))
            del readers[1:]
        self._readers.extend(readers)
        if self._task is None:
            self._late = False
            self._task = asyncio.create_task(self._run())
        return [] if verdict is Verdict.PROBE else readers

    async def _run(self) -> None:
        batch: list[_Reader[A]] = []
        try:
            while batch := self._next_readers():
                answers = await self._ask_for(batch)
                if answers is None:
                    return
                start = 0
                for reader in batch:
                    end = start + len(reader.names)
                    reader.resolve(answers[start:end])
                    start = end
        finally:
            self._task = None
            self._readers.extendleft(batch)
            self._give_up()

    def _give_up(self) -> None:
        for reader in self._readers:
            reader.resolve([None] * len(reader.names))
        self._readers.clear()

    def _next_readers(self) -> list[_Reader[A]]:
        """What one command can take; a reader that has left in the meantime is passed over."""
        batch: list[_Reader[A]] = []
        count = 0
        while self._readers and count + len(self._readers[0].names) <= self._limits.max_keys:
            reader = self._readers.popleft()
            if not reader.answer.done():
                batch.append(reader)
                count += len(reader.names)
        return batch

    async def _ask_for(self, batch: list[_Reader[A]]) -> Sequence[A | None] | None:
        names = [name for reader in batch for name in reader.names]
        self._late = False
        self._asking = batch[0]
        patience = self._loop.call_later(_LATE * self._limits.timeout_seconds, self._find_late, batch[0], 2)
        try:
            return await self._ask(names, batch[0].deadline)
        finally:
            patience.cancel()
            self._asking = None

    def _find_late(self, asking: _Reader[A], rounds: int) -> None:
        """Only what is unanswered after further rounds of the loop is late: the loop may have been busy."""
        if self._asking is not asking:
            return
        if rounds:
            self._loop.call_soon(self._find_late, asking, rounds - 1)
        else:
            self._late = True
