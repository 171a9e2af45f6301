"""The server's end: takes a connection over that a client has opened for one stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import quote

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
from trireme_common.http2.messages import UNIMPLEMENTED

ServeStream = Callable[["ServerStream"], StreamOwner]
"""Begins to work on a stream."""

_DETAIL = 1024
"""Characters of a status's detail that are told, so that percent-encoded they are no more than a frame."""
_SAFE = " !#$&'()*+,/:;=?@[]"
"""What gRPC's percent-encoding of it leaves as it is."""
_PATIENCE = Patience(idle_seconds=20.0, answer_seconds=5.0)


class ServerStream(StreamConnection):
    """Serves the one stream of a connection. `methods` has who serves which, by `/package.Service/Method`."""

    def __init__(
        self, methods: Mapping[str, ServeStream], largest_message: int, lost: Callable[[], None]
    ) -> None:
        """`lost` is called when the connection is gone."""
        super().__init__(None, _PATIENCE, largest_message)
        self._lost = lost
        self._methods = methods
        self._encoder = Encoder()
        self._opened = False

    def end(self, end: StreamEnd) -> None:
        """Ends the stream with a status, after the messages that still wait; the client then leaves."""
        trailers = [("grpc-status", str(end.status))]
        if end.detail:
            trailers.append(("grpc-message", quote(end.detail[:_DETAIL], _SAFE, errors="replace")))
        flags = frames.END_HEADERS | frames.END_STREAM
        self._outbox.end_with(frames.frame(frames.HEADERS, flags, STREAM, self._encoder.encode(trailers)))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._outbox.write(frames.settings(OWN_SETTINGS) + OPEN_WINDOW)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._lost()

    def _headers_arrived(self, stream: int, flags: int, block: bytes) -> None:
        if stream != STREAM or self._opened:
            raise Http2Error(frames.PROTOCOL_ERROR, "a second stream on a connection for one")
        if not flags & frames.END_HEADERS:
            raise Http2Error(frames.INTERNAL_ERROR, "headers in several frames are not taken")
        self._opened = True
        try:
            headers = dict(Decoder().decode(block, raw=True))
        except HPACKError as error:
            raise Http2Error(frames.PROTOCOL_ERROR, "headers that HPACK cannot read") from error
        answer = self._encoder.encode(((":status", "200"), ("content-type", "application/grpc")))
        self._outbox.write(frames.frame(frames.HEADERS, frames.END_HEADERS, STREAM, answer))
        serve = self._methods.get(headers.get(b":path", b"").decode("utf-8", "replace"))
        if serve is None:
            self.end(StreamEnd(UNIMPLEMENTED, "a connection for one stream has no such method"))
            return
        self._owner = serve(self)
        if flags & frames.END_STREAM:
            self._end_reading()

    def _refuse(self, end: StreamEnd) -> None:
        self._close(end)
        self.end(end)
