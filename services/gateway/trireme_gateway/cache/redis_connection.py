"""One connection to a Redis server: pipelines of commands, one at a time, and nothing left behind.

hiredis packs and parses; this is what stands between it and the event loop. RESP2, which needs no handshake.
A pipeline that is not answered in full, whoever cancels it and for whatever reason, closes the connection: an
answer that is still to come can never be taken for another's.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, cast

from hiredis import HiredisError, ReplyError, pack_command
from hiredis import Reader as ReplyReader

from trireme_gateway.cache.redis_address import Endpoint, Login

REDIS_ERRORS = (HiredisError, OSError)
"""What asking Redis raises; TimeoutError and ssl.SSLError are among OSError."""

Command = tuple[str | bytes | int, ...]


class RedisConnection:
    """Opens itself when it is first needed, and again after it was lost."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        login: Login,
        database: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._login = login
        self._database = database
        self._tls = tls
        self._replies: _Replies | None = None

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in the order of `commands`; a refusal is a ReplyError among them.

        Callers take turns. Raises OSError where the connection cannot be had or is lost, ReplyError where
        the server refuses the login, ProtocolError for what is no Redis. Has no time-out of its own.
        """
        if self._replies is None or self._replies.lost:
            self._replies = await self._open()
        return await self._exchange(self._replies, commands)

    def close(self) -> None:
        """Frees the socket."""
        if self._replies is not None:
            self._replies.close()
            self._replies = None

    async def _open(self) -> _Replies:
        loop = asyncio.get_running_loop()
        host, port = self._endpoint
        if port:
            server_name = host if self._tls is not None else None
            _, replies = await loop.create_connection(
                _Replies, host, port, ssl=self._tls, server_hostname=server_name
            )
        else:
            _, replies = await loop.create_unix_connection(_Replies, host)
        greeting: list[Command] = []
        if self._login.password is not None:
            user = () if self._login.user is None else (self._login.user,)
            greeting.append(("AUTH", *user, self._login.password))
        if self._database:
            greeting.append(("SELECT", self._database))
        for reply in await self._exchange(replies, greeting) if greeting else ():
            if isinstance(reply, ReplyError):
                replies.close()
                raise reply
        return replies

    async def _exchange(self, replies: _Replies, commands: Sequence[Command]) -> list[Any]:
        try:
            return await replies.exchange(b"".join(map(_pack, commands)), len(commands))
        except BaseException:
            replies.close()
            raise


def _pack(command: Command) -> bytes:
    packed: bytes = pack_command(command)  # type: ignore[arg-type]
    return packed


class _Replies(asyncio.Protocol):
    """Collects the replies of the pipeline that is under way."""

    def __init__(self) -> None:
        self._reader = ReplyReader(notEnoughData=_Replies)
        self._transport: asyncio.WriteTransport | None = None
        self._found: list[Any] = []
        self._wanted = 0
        self._complete: asyncio.Future[list[Any]] | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionResetError("the Redis server hung up"))

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _Replies:
                self._found.append(reply)
        except HiredisError as error:
            self._fail(error)
            self.close()
            return
        if len(self._found) >= self._wanted and self._complete is not None and not self._complete.done():
            self._complete.set_result(self._found)

    async def exchange(self, data: bytes, count: int) -> list[Any]:
        if self._transport is None or self.lost:
            raise ConnectionResetError("the Redis server hung up")
        self._found, self._wanted = [], count
        self._complete = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        found = await self._complete
        self._complete = None
        if len(found) != count:
            raise ConnectionAbortedError("the Redis server gave an answer too many")
        return found

    def close(self) -> None:
        """At once: nothing that was written needs to arrive any more."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        self.lost = True
        if self._complete is not None and not self._complete.done():
            self._complete.set_exception(error)
