"""A closed loop: every connection sends its next request when its answer is in and checked."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, cast

import orjson

from benchmarks.exchanges import Exchange, Exchanges
from benchmarks.figures import Sample, percentile
from benchmarks.load.process_tree import read_cpu
from benchmarks.load.timing import median_timings
from trireme_cli.loadtest.http import ProtocolError, Response, ResponseParser

_LAST_ANSWERS_SECONDS = 30.0
_ACCEPT_SECONDS = 0.1
# Words of `x-cache`, and how many answers, and what share of them, may say something else. A cache that does
# not answer in time is passed by, and servers that share their cores with this program are late now and
# then. What was asked last before the load may still be remembered when it begins. The first of several
# duplicates is computed, and one that comes when it is done finds it in memory.
_WANTED = {
    "hit": ((b"x-cache: hit", b"x-cache: coalesced"), 3, 0.01),
    "miss": ((b"x-cache: miss",), 64, 0.01),
    "coalesced": ((b"x-cache: coalesced",), 64, 0.3),
}


class WrongAnswerError(Exception):
    """An answer is not the one that its request must have; one is enough for a case to fail."""


@dataclass(frozen=True)
class Loop:
    """What to do to which server. `root` is the process whose tree's CPU time is read."""

    port: int
    root: int
    connections: int
    warm_up_seconds: float
    seconds: float


class Run:
    """What the connections of one loop share."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._source = cycle(exchanges.exchanges)
        self._path = exchanges.path
        self._cache = exchanges.cache
        self._wanted = _WANTED.get(exchanges.cache)
        self.latencies = array("d")
        self.checked = self.missed = 0
        self.heads: list[bytes] | None = None
        """Heads of the answers, where they are kept."""
        self.open = 0
        self.ending = False
        self.idle = asyncio.Event()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self) -> Exchange:
        """The next request; no two that are under way are the same, where none stands twice."""
        return next(self._source)

    def check(self, exchange: Exchange, response: Response) -> None:
        """Raises WrongAnswerError."""
        if response.status != 200:
            raise WrongAnswerError(f"status {response.status}: {response.body[:300]!r}")
        self.checked += 1
        if self._wanted is not None:
            self._check_cache(response, *self._wanted)
        try:
            value: Any = orjson.loads(response.body)
            for key in self._path:
                value = value[key]
        except (ValueError, LookupError, TypeError) as error:
            raise WrongAnswerError(f"{error!r} in {response.body[:300]!r}") from error
        if value != exchange.expected:
            raise WrongAnswerError(f"{value!r}, but the oracle says {exchange.expected!r}")

    def _check_cache(self, response: Response, words: Sequence[bytes], few: int, share: float) -> None:
        if any(word in response.head for word in words):
            return
        self.missed += 1
        if self.missed > few + share * self.checked:
            said = response.header("x-cache")
            raise WrongAnswerError(
                f"x-cache was to say {self._cache}, but says {said!r}: {self.missed} times"
            )

    def fail(self, error: Exception) -> None:
        self.ending = True
        if not self.failed.done():
            self.failed.set_exception(error)

    def closed(self) -> None:
        self.open -= 1
        if self.open == 0:
            self.idle.set()


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._parser = ResponseParser(strict=True)
        self._transport: asyncio.WriteTransport | None = None
        self._exchange: Exchange | None = None
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's, they only look like them.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._run.open += 1

    def start(self) -> None:
        """Sends the first request; every answer then draws the next one."""
        assert self._transport is not None
        self._next(self._transport)

    def _next(self, transport: asyncio.WriteTransport) -> None:
        if self._run.ending:
            self._exchange = None
            transport.close()
            return
        exchange = self._exchange = self._run.take()
        self._sent = time.perf_counter()
        transport.write(exchange.request)

    def data_received(self, data: bytes) -> None:
        transport, exchange = self._transport, self._exchange
        assert transport is not None
        try:
            response = self._parser.feed(data)
            if response is None:
                return
            if exchange is None:
                raise ProtocolError("an answer without a request")
            self._run.latencies.append(time.perf_counter() - self._sent)
            if self._run.heads is not None:
                self._run.heads.append(response.head)
            self._run.check(exchange, response)
        except (ProtocolError, WrongAnswerError) as error:
            self._run.fail(error)
            transport.abort()
            return
        self._next(transport)

    def abort(self) -> None:
        """Ends the connection, if it has not ended."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._exchange is not None and not self._run.failed.done():
            self._run.fail(ProtocolError(f"the server closed a connection with a request under way: {exc}"))
        self._run.closed()


async def measure(loop: Loop, exchanges: Exchanges) -> Sample:
    """One window of `seconds` after the warm-up. Raises WrongAnswerError, ProtocolError, OSError or
    ProcessesChangedError: whatever is not right makes the whole measurement void."""
    run = Run(exchanges)
    connect = asyncio.get_running_loop().create_connection
    connections = []
    try:
        for _ in range(loop.connections):
            _, connection = await connect(lambda: Connection(run), "127.0.0.1", loop.port)
            connections.append(connection)
        # A server takes one waiting connection a turn of its loop, and its turns are long under load.
        await _wait(run, _ACCEPT_SECONDS)
        for connection in connections:
            connection.start()
        await _wait(run, loop.warm_up_seconds)
        sample = await _window(run, loop)
        await _drain(run)
    finally:
        for connection in connections:
            connection.abort()
    return sample


async def _window(run: Run, loop: Loop) -> Sample:
    server, own, began = read_cpu(loop.root), time.process_time(), time.perf_counter()
    run.latencies, run.heads = array("d"), [] if loop.connections == 1 else None
    await _wait(run, loop.seconds)
    taken, run.latencies = run.latencies, array("d")
    heads, run.heads = run.heads or [], None
    ended, own_ended, server_ended = time.perf_counter(), time.process_time(), read_cpu(loop.root)
    latencies = sorted(taken)
    if not latencies:
        raise ProtocolError(f"no answer within {loop.seconds:.1f} s")
    return Sample(
        requests=len(latencies),
        seconds=ended - began,
        p50_ms=percentile(latencies, 0.50) * 1000,
        p99_ms=percentile(latencies, 0.99) * 1000,
        program_cpu_seconds=server.until(server_ended),
        generator_cpu_seconds=own_ended - own,
        timings_ms=median_timings(heads),
    )


async def _drain(run: Run) -> None:
    """Waits for the answers under way: they are checked like the others."""
    run.ending = True
    try:
        await asyncio.wait_for(run.idle.wait(), _LAST_ANSWERS_SECONDS)
    except TimeoutError as error:
        raise ProtocolError(f"no answer within {_LAST_ANSWERS_SECONDS:g} s") from error
    if run.failed.done():
        run.failed.result()


async def _wait(run: Run, seconds: float) -> None:
    await asyncio.wait({run.failed}, timeout=seconds)
    if run.failed.done():
        run.failed.result()
