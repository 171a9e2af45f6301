"""One connection of a load generator, opened when it is needed and again when it was lost."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import cast

from trireme_cli.loadtest.http import ProtocolError, Response, ResponseParser
from trireme_cli.loadtest.tally import Lost

Outcome = Response | Lost


@dataclass(frozen=True)
class Address:
    """Where the platform listens; `tls` is None for plain HTTP."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class Connection:
    """Asks one request at a time. Nothing is raised: what went wrong is an outcome."""

    def __init__(self, address: Address, timeout_seconds: float) -> None:
        self._address = address
        self._timeout = timeout_seconds
        self._wire: _Wire | None = None

    async def ask(self, request: bytes) -> Outcome:
        """The whole answer, or why there is none; the time-out holds for connecting and answering each."""
        wire = self._wire
        if wire is None or not wire.usable:
            opened = await self._open()
            if isinstance(opened, Lost):
                return opened
            wire = self._wire = opened
        return await wire.ask(request, self._timeout)

    def close(self) -> None:
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    async def _open(self) -> _Wire | Lost:
        connect = asyncio.get_running_loop().create_connection
        where, tls = self._address, self._address.tls
        try:
            async with asyncio.timeout(self._timeout):
                _, wire = await connect(_Wire, where.host, where.port, ssl=tls)
        except TimeoutError:
            return Lost("connect", f"no connection within {self._timeout:g} s")
        except OSError as error:
            return Lost("connect", str(error))
        return wire


class _Wire(asyncio.Protocol):
    """A socket with at most one request under way."""

    def __init__(self) -> None:
        self._parser = ResponseParser()
        self._transport: asyncio.WriteTransport | None = None
        self._answer: asyncio.Future[Outcome] | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes, timeout_seconds: float) -> Outcome:
        assert self._transport is not None
        answer: asyncio.Future[Outcome] = self._loop.create_future()
        self._answer = answer
        timer = self._loop.call_later(timeout_seconds, self._expire, timeout_seconds)
        self._transport.write(request)
        try:
            return await answer
        finally:
            timer.cancel()
            if not answer.done():
                self.abort()  # whoever asked has left; the answer must not meet the next request

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's, they only look like them.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            response = self._parser.feed(data)
        except ProtocolError as error:
            self._lose(Lost("protocol", str(error)))
            return
        if response is not None:
            if response.closes or self._answer is None or self._answer.done():
                self.abort()
            self._settle(response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._settle(Lost("reset", f"the connection was lost: {exc or 'closed without an answer'}"))

    def _expire(self, seconds: float) -> None:
        self._lose(Lost("timeout", f"no answer within {seconds:g} s"))

    def _lose(self, why: Lost) -> None:
        self._settle(why)
        self.abort()

    def _settle(self, outcome: Outcome) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(outcome)
