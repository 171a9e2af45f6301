"""The client's end: opens a connection, and its one stream with it."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

from hpack import Decoder, Encoder, HPACKError

from trireme_common.http2 import frames
from trireme_common.http2.connection import (
    OPEN_WINDOW,
    OWN_SETTINGS,
    StreamConnection,
    StreamEnd,
    StreamOwner,
)
from trireme_common.http2.frames import STREAM, Http2Error
from trireme_common.http2.keepalive import Patience
from trireme_common.http2.messages import UNKNOWN

_STATUSES = frozenset(map(str, range(17)))
"""The codes that gRPC has."""
_SETTINGS = {frames.ENABLE_PUSH: 0, **OWN_SETTINGS, frames.ONE_STREAM: 1}


class ClientStream(StreamConnection):
    """Calls a bidirectional method of any gRPC server, in plain text."""

    def __init__(
        self, address: str, method: str, owner: StreamOwner, patience: Patience, largest_message: int
    ) -> None:
        """`address` is `host:port`, an IPv6 address in brackets; `method` is `/package.Service/Method`."""
        super().__init__(owner, patience, largest_message)
        self._address = address
        self._method = method
        self._decoder = Decoder()
        self._answered = False

    async def open(self) -> None:
        """Connects and opens the stream. Raises OSError where the address cannot be reached."""
        host, _, port = self._address.rpartition(":")
        await asyncio.get_running_loop().create_connection(lambda: self, host.strip("[]"), int(port))

    def end_writing(self) -> None:
        """Sends no more messages; the server answers what it has and ends the stream."""
        self._outbox.end_with(frames.frame(frames.DATA, frames.END_STREAM, STREAM))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        block = Encoder().encode(
            (
                (":method", "POST"),
                (":scheme", "http"),
                (":path", self._method),
                (":authority", self._address),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("user-agent", "trireme"),
            )
        )
        opening = frames.frame(frames.HEADERS, frames.END_HEADERS, STREAM, block)
        self._outbox.write(frames.PREFACE + frames.settings(_SETTINGS) + OPEN_WINDOW + opening)

    def _headers_arrived(self, stream: int, flags: int, block: bytes) -> None:
        if not flags & frames.END_HEADERS:
            raise Http2Error(frames.INTERNAL_ERROR, "headers in several frames are not taken")
        try:
            headers = {_text(name): _text(value) for name, value in self._decoder.decode(block, raw=True)}
        except HPACKError as error:
            raise Http2Error(frames.PROTOCOL_ERROR, "headers that HPACK cannot read") from error
        if stream != STREAM:
            return
        status = headers.get(":status", "200")
        if not self._answered and status != "200":
            self._finish(StreamEnd(UNKNOWN, f"the peer answered with HTTP {status}"))
        elif flags & frames.END_STREAM:
            self._finish(_read_status(headers))
        self._answered = True

    def _end_reading(self) -> None:
        self._finish(StreamEnd(UNKNOWN, "the stream ended without a status"))

    def _finish(self, end: StreamEnd) -> None:
        """The server has ended the stream; nobody needs the connection any more."""
        self._close(end)
        if self._transport is not None:
            self._transport.close()


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _read_status(headers: dict[str, str]) -> StreamEnd:
    status = headers.get("grpc-status", "")
    detail = unquote(headers.get("grpc-message", ""))
    return StreamEnd(int(status) if status in _STATUSES else UNKNOWN, detail)
