"""The port of a stage: connections for one stream are served here, all others by the gRPC server behind it.

Who sends `ONE_STREAM` in the first SETTINGS gets a `ServerStream`. Anybody else (kubelet's probes, other
gRPC clients, gateways of an older build) is passed on byte by byte to the gRPC server, which listens where
nobody else looks.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterable, Mapping
from typing import cast

import structlog

from trireme_common.http2 import frames
from trireme_common.http2.frames import HEAD, PREFACE, SETTING
from trireme_common.http2.passing import Passing, join
from trireme_common.http2.server import ServerStream, ServeStream

logger = structlog.get_logger(__name__)

_FIRST_WORD_SECONDS = 20.0
_LAST_SECONDS = 1.0
_LARGEST_SETTINGS = 1024
_BACKLOG = 1024
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind(host: str, port: int) -> list[socket.socket]:
    """Sockets for every address of `host` that this machine has, all with one port.

    A wildcard means IPv4 and IPv6, as gRPC has it. Raises OSError.
    """
    if host in ("0.0.0.0", "::", ""):
        if socket.has_dualstack_ipv6():
            return [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)]
        host = "0.0.0.0"
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in infos:
            chosen = sockets[0].getsockname()[1] if sockets else port
            try:
                sockets.append(socket.create_server((str(address[0]), chosen), family=family))
            except OSError as error:
                if error.errno not in _NOT_HERE or not (sockets or len(infos) > 1):
                    raise
    except OSError:
        for each in sockets:
            each.close()
        raise
    if not sockets:
        raise OSError(errno.EADDRNOTAVAIL, f"{host} is no address of this machine")
    return sockets


def wants_one_stream(data: bytes) -> bool | None:
    """What the first bytes of a connection say; None while they do not say it yet."""
    known = min(len(data), len(PREFACE))
    if data[:known] != PREFACE[:known]:
        return False
    start = len(PREFACE) + HEAD.size
    if len(data) < start:
        return None
    high, low, kind, flags, _ = HEAD.unpack_from(data, len(PREFACE))
    length = high << 16 | low
    if kind != frames.SETTINGS or flags & frames.ACK or length > _LARGEST_SETTINGS or length % SETTING.size:
        return False
    if len(data) < start + length:
        return None
    return frames.read_settings(data[start : start + length]).get(frames.ONE_STREAM) == 1


class Door:
    """Accepts the connections of a stage."""

    def __init__(
        self, host: str, port: int, behind: str, methods: Mapping[str, ServeStream], largest_message: int
    ) -> None:
        """Binds at once, so that a port in use is an error before anything loads. Raises OSError.

        `behind` is the path of the gRPC server's Unix socket.
        """
        self._sockets = bind(host, port)
        self.port: int = self._sockets[0].getsockname()[1]
        self._behind = behind
        self._methods = methods
        self._largest_message = largest_message
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Transport] = set()
        self._left = asyncio.Event()
        self._stopping = False
        self._joining: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            server = await loop.create_server(lambda: _FirstWord(self), sock=each, backlog=_BACKLOG)
            self._servers.append(server)

    async def stop(self, grace_seconds: float) -> None:
        """Accepts nothing more, waits until the streams have ended, and closes those that have not."""
        self._stopping = True
        for server in self._servers:
            server.close()
        for each in self._sockets:
            each.close()
        self._abort(transport for transport in self._connections if _is_new(transport))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._all_gone()
        self._abort(self._connections)
        if self._joining:
            await asyncio.wait(self._joining, timeout=_LAST_SECONDS)
        with contextlib.suppress(TimeoutError):  # a process that ends must not wait for a lost connection
            async with asyncio.timeout(_LAST_SECONDS):
                await self._all_gone()

    def _abort(self, transports: Iterable[asyncio.Transport]) -> None:
        for transport in tuple(transports):
            transport.abort()

    async def _all_gone(self) -> None:
        while self._connections:
            self._left.clear()
            await self._left.wait()

    def came(self, transport: asyncio.Transport) -> None:
        """There is a new connection."""
        self._connections.add(transport)
        if self._stopping:
            transport.abort()  # accepted just before the end

    def went(self, transport: asyncio.Transport) -> None:
        """A connection is gone."""
        self._connections.discard(transport)
        self._left.set()

    def serve(self, transport: asyncio.Transport, first: bytes) -> None:
        """Takes a connection for one stream over."""
        stream = ServerStream(self._methods, self._largest_message, lambda: self.went(transport))
        transport.set_protocol(stream)
        stream.connection_made(transport)
        stream.data_received(first[len(PREFACE) :])

    def pass_on(self, transport: asyncio.Transport, first: bytes) -> None:
        """Leaves a connection to the gRPC server."""
        transport.pause_reading()
        task = asyncio.create_task(self._pass_on(transport, first))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def _pass_on(self, transport: asyncio.Transport, first: bytes) -> None:
        near, far = (Passing(self.came, self.went) for _ in range(2))
        try:
            await join(transport, near, far, first, self._behind)
        except OSError as error:
            logger.warning("connection_refused", reason=str(error))
            transport.abort()


class _FirstWord(asyncio.Protocol):
    """A connection until it is known what it is for."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._data = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        self._timer = asyncio.get_running_loop().call_later(_FIRST_WORD_SECONDS, self._transport.abort)
        self._door.came(self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        assert self._timer is not None
        self._data += data
        verdict = wants_one_stream(self._data)
        if verdict is None:
            return
        self._timer.cancel()
        if verdict:
            self._door.serve(self._transport, self._data)
        else:
            self._door.pass_on(self._transport, self._data)

    def connection_lost(self, error: Exception | None) -> None:
        assert self._transport is not None
        assert self._timer is not None
        self._timer.cancel()
        self._door.went(self._transport)


def _is_new(transport: asyncio.Transport) -> bool:
    """Whether it is not known yet what that connection is for."""
    return isinstance(transport.get_protocol(), _FirstWord)
