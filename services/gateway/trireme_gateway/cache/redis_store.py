"""The shared store in Redis: few round trips, short time-outs, and never a reason to fail a request.

Reads: keys that are asked for while a MGET is under way go together in the next; an idle store asks at once,
no timer anywhere. Writes: the same with pipelined SETs out of a bounded buffer, which reads see too, so that
an answer is found from the moment that it was put.

Each command runs in a task of the store's own. Callers only wait for futures: one who leaves in the middle of
a command touches no connection, so no later answer is off by one.

A slow Redis: nobody waits longer than one time-out, which covers queueing, connecting and asking. Behind a
MGET that is late (a fifth of the time-out), or right after a failure, nobody queues; what queued behind a
failed one is answered with it; the breaker's probe is asked on nobody's time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from trireme_gateway.cache.breaker import Breaker, Verdict
from trireme_gateway.cache.events import CacheEvents, Fault
from trireme_gateway.cache.ports import StoreEntry
from trireme_gateway.cache.redis_client import RedisLimits
from trireme_gateway.cache.write_buffer import WriteBuffer

logger = structlog.get_logger(__name__)

_NAMESPACE = b"trireme:1:"
_LATE = 0.2
"""Part of the time-out after which nobody queues behind a command."""


class _Reader:
    """A caller's keys and the future that it waits for."""

    __slots__ = ("answer", "deadline", "names")

    def __init__(self, names: Sequence[bytes], deadline: float) -> None:
        self.names = names
        self.deadline = deadline
        self.answer: asyncio.Future[Sequence[bytes | None]] = asyncio.get_running_loop().create_future()

    def resolve(self, values: Sequence[bytes | None]) -> None:
        if not self.answer.done():
            self.answer.set_result(values)


class RedisStore:
    """CacheStore in Redis. Made inside a running event loop; owns its client."""

    def __init__(
        self,
        client: Redis,
        events: CacheEvents,
        *,
        limits: RedisLimits | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self._client = client
        self._events = events
        self._limits = limits or RedisLimits()
        self._breaker = breaker or Breaker()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._readers: deque[_Reader] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._asking: _Reader | None = None
        self._late = False
        self._buffer = WriteBuffer(self._limits)
        self._writing: asyncio.Task[None] | None = None

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of `keys`; None for each that is missing or that Redis did not give in time."""
        values = [self._buffer.get(key) for key in keys]
        names = [_NAMESPACE + key for key, value in zip(keys, values, strict=True) if value is None]
        if not names or self._closed:
            return values
        readers = self._enqueue(names)
        read: list[bytes | None] = []
        for reader in readers:
            read += await reader.answer
        if not read:
            return values
        answers = iter(read)
        return [next(answers) if value is None else value for value in values]

    def put_many(self, entries: Sequence[StoreEntry]) -> None:
        """Takes entries to write in the background; drops and counts those without room or Redis."""
        if self._closed or self._breaker.is_open:
            self._events.on_error(Fault.WRITE_DROPPED, len(entries))
            return
        dropped = sum(not self._buffer.add(entry) for entry in entries)
        if dropped:
            self._events.on_error(Fault.WRITE_DROPPED, dropped)
        if self._writing is None and len(self._buffer):
            self._writing = asyncio.create_task(self._write_all())

    async def close(self) -> None:
        """Gives the writes under way one time-out to end, answers the readers, closes the connections."""
        self._closed = True
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=self._limits.timeout_seconds)
        tasks = [task for task in (self._writing, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._give_up()
        try:
            await self._client.aclose()
        except (RedisError, OSError) as error:
            logger.info("redis_close_failed", error=type(error).__name__)

    def _enqueue(self, names: list[bytes]) -> list[_Reader]:
        """Readers to wait for: none where the caller is not to wait."""
        verdict = self._breaker.ask()
        if verdict is Verdict.REFUSE:
            self._events.on_error(Fault.BREAKER_OPEN, len(names))
            return []
        if self._reading is not None and verdict is Verdict.PASS and (self._late or self._breaker.suspicious):
            self._events.on_error(Fault.SLOW, len(names))
            return []
        step = self._limits.max_keys
        deadline = self._loop.time() + self._limits.timeout_seconds
        readers = [_Reader(names[start : start + step], deadline) for start in range(0, len(names), step)]
        if verdict is Verdict.PROBE:
            self._events.on_error(Fault.BREAKER_OPEN, len(names))
            del readers[1:]
        self._readers.extend(readers)
        if self._reading is None:
            self._late = False
            self._reading = asyncio.create_task(self._read_all())
        return [] if verdict is Verdict.PROBE else readers

    def _find_late(self, asking: _Reader, rounds: int) -> None:
        """Only what is unanswered after further rounds of the loop is late: the loop may have been busy."""
        if self._asking is not asking:
            return
        if rounds:
            self._loop.call_soon(self._find_late, asking, rounds - 1)
        else:
            self._late = True

    async def _read_all(self) -> None:
        batch: list[_Reader] = []
        try:
            while batch := self._next_readers():
                values = await self._read(batch)
                if values is None:
                    return
                start = 0
                for reader in batch:
                    end = start + len(reader.names)
                    reader.resolve(values[start:end])
                    start = end
        finally:
            self._reading = None
            self._readers.extendleft(batch)
            self._give_up()

    def _give_up(self) -> None:
        for reader in self._readers:
            reader.resolve([None] * len(reader.names))
        self._readers.clear()

    def _next_readers(self) -> list[_Reader]:
        """What one MGET can take; a reader that has left in the meantime is passed over."""
        batch: list[_Reader] = []
        count = 0
        while self._readers and count + len(self._readers[0].names) <= self._limits.max_keys:
            reader = self._readers.popleft()
            if not reader.answer.done():
                batch.append(reader)
                count += len(reader.names)
        return batch

    async def _read(self, batch: list[_Reader]) -> list[bytes | None] | None:
        names = [name for reader in batch for name in reader.names]
        self._late = False
        self._asking = batch[0]
        patience = self._loop.call_later(_LATE * self._limits.timeout_seconds, self._find_late, batch[0], 2)
        try:
            values = await self._command(lambda: self._client.mget(names), len(names), batch[0].deadline)
        finally:
            patience.cancel()
            self._asking = None
        if values is None:
            return None
        if not isinstance(values, list) or len(values) != len(names):
            self._events.on_error(Fault.RESPONSE, len(names))
            return None
        return values

    async def _write_all(self) -> None:
        try:
            while batch := self._buffer.take():
                await self._write(batch.values(), len(batch))
                self._buffer.written()
                if self._breaker.is_open:
                    self._events.on_error(Fault.WRITE_DROPPED, self._buffer.clear())
        finally:
            self._writing = None
            self._buffer.clear()

    async def _write(self, entries: Iterable[StoreEntry], count: int) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, value, ttl_seconds in entries:
            pipeline.set(_NAMESPACE + key, value, px=max(1, round(ttl_seconds * 1000)))
        deadline = self._loop.time() + self._limits.timeout_seconds
        replies = await self._command(lambda: pipeline.execute(raise_on_error=False), count, deadline)
        refused = sum(isinstance(reply, Exception) for reply in replies or ())
        if refused:
            self._events.on_error(Fault.WRITE_REFUSED, refused)

    async def _command(self, call: Callable[[], Any], keys: int, deadline: float) -> Any:
        """What Redis answers, or None after a failure, which is counted for every key."""
        try:
            async with asyncio.timeout_at(deadline):
                answer = await call()
        except (
            Exception
        ) as error:  # whatever goes wrong with the cache is a miss, never the request's failure
            was_open = self._breaker.is_open
            self._breaker.failed()
            self._events.on_error(_fault(error), keys)
            if self._breaker.is_open and not was_open:
                logger.warning("redis_given_up_for_now", error=type(error).__name__)
            return None
        if self._breaker.is_open:
            logger.info("redis_answers_again")
        self._breaker.succeeded()
        return answer


def _fault(error: Exception) -> Fault:
    if isinstance(error, TimeoutError | RedisTimeoutError):
        return Fault.TIMEOUT
    if isinstance(error, RedisConnectionError | OSError):
        return Fault.CONNECTION
    return Fault.RESPONSE if isinstance(error, RedisError) else Fault.INTERNAL
