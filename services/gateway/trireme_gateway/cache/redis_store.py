"""The shared store in one Redis server: few round trips, short time-outs, never a reason to fail a request.

Reads: keys that are asked for at the same time go together in one MGET (`read_queue.py`). Writes: the same
with pipelined SETs out of a bounded buffer, which reads see too, so that an answer is found from the moment
that it was put. Claims: a pipelined SET NX and GET a key, together like reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import structlog
from hiredis import HiredisError, ReplyError

from trireme_gateway.cache.breaker import Breaker
from trireme_gateway.cache.events import CacheEvents, Fault
from trireme_gateway.cache.ports import Claim, StoreEntry, Watch
from trireme_gateway.cache.read_queue import ReadQueue
from trireme_gateway.cache.redis_address import Endpoint
from trireme_gateway.cache.redis_client import RedisAccess, RedisLimits
from trireme_gateway.cache.redis_connection import Command, RedisConnection
from trireme_gateway.cache.write_buffer import WriteBuffer

logger = structlog.get_logger(__name__)

NAMESPACE = b"trireme:1:"
"""Before every name, for the server's ACL."""
_BRACES = bytes.maketrans(b"{}", b"()")
_CLAIM_ENDS_SECONDS = 0.001

_MOVED = frozenset({"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY"})
_DENIED = frozenset({"NOPERM", "NOAUTH", "WRONGPASS"})
"""First words of refusals."""


def value_name(key: bytes) -> bytes:
    """What a key is called in Redis: without braces, because a cluster would read a slot between them. Two
    keys that differ in these alone would push each other out, no more: the seal is of the key itself."""
    return NAMESPACE + key.translate(_BRACES)


def claim_name(key: bytes) -> bytes:
    """What a claim is called: in a cluster it is in the slot of its value."""
    return b"%bf:{%b}" % (NAMESPACE, value_name(key))


class RedisStore:
    """CacheStore in one server. Made inside a running event loop."""

    def __init__(
        self,
        access: RedisAccess,
        endpoint: Endpoint,
        events: CacheEvents,
        *,
        limits: RedisLimits | None = None,
        breaker: Breaker | None = None,
        clustered: bool = False,
        doubt: Callable[[], None] = lambda: None,
    ) -> None:
        """`clustered`: a command may name keys of one slot only. `doubt` is called when this may no longer be
        the server to ask."""
        # Each takes its turns alone: reads never wait for writes.
        self._reader, self._claimer, self._writer = (access.connect(endpoint) for _ in range(3))
        self._events = events
        self._limits = limits or RedisLimits()
        self._breaker = breaker or Breaker()
        self._clustered = clustered
        self._doubt = doubt
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._denied = False
        self._reads = ReadQueue[bytes](self._read, self._breaker, events, self._limits)
        self._claims = ReadQueue[Claim](self._claim, self._breaker, events, self._limits)
        self._claim_ms = 1000
        self._buffer = WriteBuffer(self._limits)
        self._writing: asyncio.Task[None] | None = None

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of `keys`; None for each that is missing or that Redis did not give in time."""
        return await self._get_named([value_name(key) for key in keys])

    async def claim_many(self, keys: Sequence[bytes], seconds: float) -> list[Claim]:
        """Claims in the order of `keys`; won where Redis did not answer in time. Claims that are made
        together stand for the same time."""
        if self._closed:
            return [Claim(won=True)] * len(keys)
        self._claim_ms = max(1, round(seconds * 1000))
        return [claim or Claim(won=True) for claim in await self._claims.read(list(keys))]

    async def watch_many(self, keys: Sequence[bytes]) -> list[Watch]:
        """Values and claims in the order of `keys`, in one question."""
        found = await self._get_named([*map(value_name, keys), *map(claim_name, keys)])
        values, claims = found[: len(keys)], found[len(keys) :]
        return [Watch(claim is not None, value) for value, claim in zip(values, claims, strict=True)]

    def put_many(self, entries: Sequence[StoreEntry]) -> None:
        """Takes entries to write in the background; drops and counts those without room or Redis."""
        self._put_named([StoreEntry(value_name(key), value, seconds) for key, value, seconds in entries])

    def release_many(self, keys: Sequence[bytes]) -> None:
        """Lets claims end at once, so that no right to delete is needed."""
        self._put_named([StoreEntry(claim_name(key), b"-", _CLAIM_ENDS_SECONDS) for key in keys])

    async def _get_named(self, names: list[bytes]) -> list[bytes | None]:
        values = [self._buffer.get(name) for name in names]
        missing = [name for name, value in zip(names, values, strict=True) if value is None]
        if not missing or self._closed:
            return values
        answers = iter(await self._reads.read(missing))
        return [next(answers) if value is None else value for value in values]

    def _put_named(self, entries: list[StoreEntry]) -> None:
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
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._reads.close()
        await self._claims.close()
        for connection in (self._reader, self._claimer, self._writer):
            connection.close()

    async def _read(self, names: list[bytes], deadline: float) -> list[bytes | None] | None:
        if self._clustered:
            commands: list[Command] = [("GET", name) for name in names]
        else:
            commands = [("MGET", *names)]
        replies = await self._command(self._reader, commands, len(names), deadline)
        if replies is None:
            return None
        values = replies if self._clustered else replies[0]
        if not isinstance(values, list) or len(values) != len(names):
            self._events.on_error(Fault.RESPONSE, len(names))
            return None
        self._count_refused(values, Fault.RESPONSE)
        return [value if isinstance(value, bytes) else None for value in values]

    async def _claim(self, keys: list[bytes], deadline: float) -> list[Claim | None] | None:
        commands: list[Command] = []
        for key in keys:
            commands.append(("SET", claim_name(key), b"+", "PX", self._claim_ms, "NX"))
            commands.append(("GET", value_name(key)))
        replies = await self._command(self._claimer, commands, len(keys), deadline)
        if replies is None:
            return None
        self._count_refused(replies, Fault.RESPONSE)
        # A refusal is no answer: the claim is as good as won.
        return [
            Claim(won is not None, value if isinstance(value, bytes) else None)
            for won, value in zip(replies[::2], replies[1::2], strict=True)
        ]

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
        commands: list[Command] = [
            ("SET", name, value, "PX", max(1, round(ttl_seconds * 1000)))
            for name, value, ttl_seconds in entries
        ]
        deadline = self._loop.time() + self._limits.timeout_seconds
        replies = await self._command(self._writer, commands, count, deadline)
        self._count_refused(replies or (), Fault.WRITE_REFUSED)

    async def _command(
        self, connection: RedisConnection, commands: Sequence[Command], keys: int, deadline: float
    ) -> list[Any] | None:
        """What Redis answers, or None after a failure, which is counted for every key."""
        try:
            async with asyncio.timeout_at(deadline):
                replies = await connection.ask(commands)
                if commands[0][0] == "MGET" and isinstance(replies[0], ReplyError):
                    raise replies[0]  # a refusal of one key is that key's alone, this one is everybody's
        except Exception as error:  # whatever goes wrong with the cache is a miss, never a failed request
            was_open = self._breaker.is_open
            self._breaker.failed()
            self._note(error, _fault(error, Fault.RESPONSE), keys)
            if self._breaker.is_open and not was_open:
                logger.warning("redis_given_up_for_now", error=type(error).__name__)
            self._doubt()
            return None
        if self._breaker.is_open:
            logger.info("redis_answers_again")
        self._breaker.succeeded()
        return replies

    def _count_refused(self, replies: Iterable[Any], otherwise: Fault) -> None:
        for reply in replies:
            if isinstance(reply, ReplyError):
                fault = _fault(reply, otherwise)
                self._note(reply, fault, 1)
                if fault is Fault.MOVED:
                    self._doubt()

    def _note(self, error: Exception, fault: Fault, keys: int) -> None:
        self._events.on_error(fault, keys)
        if fault is Fault.DENIED and not self._denied:
            self._denied = True  # every further request would say the same
            logger.warning("redis_denies_a_command", error=str(error), see="docs/cache.md, the ACL")


def _fault(error: Exception, otherwise: Fault) -> Fault:
    if isinstance(error, TimeoutError):
        return Fault.TIMEOUT
    if isinstance(error, OSError):
        return Fault.CONNECTION
    if not isinstance(error, HiredisError):
        return Fault.INTERNAL
    word = str(error).partition(" ")[0]
    return Fault.DENIED if word in _DENIED else Fault.MOVED if word in _MOVED else otherwise
