"""What both ends of a stream share: frames in, messages out to the owner, settings, pings, the end.

What is received is handed on in the loop's own read callback: no task, no queue, no thread. Errors of
the peer end the connection, which has nothing but this stream.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol, cast

from trireme_common.http2 import frames
from trireme_common.http2.frames import STREAM, FrameReader, Http2Error
from trireme_common.http2.keepalive import Keepalive, Patience
from trireme_common.http2.messages import INTERNAL, UNAVAILABLE, BadMessageError, MessageReader
from trireme_common.http2.outbox import Outbox

_FRAME_SIZE = 2**20
_CREDIT_STEP = 2**24
"""Bytes received after which the peer's window is filled up again."""

OWN_SETTINGS = {
    frames.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW,
    frames.MAX_FRAME_SIZE: _FRAME_SIZE,
}
OPEN_WINDOW = frames.window_update(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW)
"""The window of the connection cannot be set, only grow."""


class StreamEnd(NamedTuple):
    """How a stream ended: a gRPC status code, and what was said about it."""

    status: int
    detail: str


class StreamOwner(Protocol):
    """Who works with the messages of a stream, in the callbacks of the event loop."""

    def message_received(self, message: bytes) -> None: ...

    def reading_ended(self) -> None:
        """The peer sends no more messages; it may wait for ours."""

    def writing_resumed(self) -> None:
        """There was too much to be written, and is not any more."""

    def stream_closed(self, end: StreamEnd) -> None:
        """The stream is gone; called once, and nothing after it."""


class StreamConnection(asyncio.Protocol, ABC):
    """A connection with one gRPC stream."""

    def __init__(self, owner: StreamOwner | None, patience: Patience, largest_message: int) -> None:
        self._owner = owner
        self._frames = FrameReader(self, _FRAME_SIZE)
        self._messages = MessageReader(self._deliver, largest_message)
        self._outbox = Outbox()
        self._keepalive = Keepalive(patience, self._ping, self._peer_is_silent)
        self._transport: asyncio.Transport | None = None
        self._consumed = 0

    @property
    def writable(self) -> bool:
        """Whether more messages should be sent now; `writing_resumed` tells when it gets true again."""
        return self._outbox.writable

    def send(self, message: bytes) -> None:
        """Sends a message, or keeps it until the peer can take it. After the end it is dropped."""
        self._outbox.send(message)

    def abort(self) -> None:
        """Closes the connection without another word, to the owner either."""
        self._owner = None
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by their class
        self._outbox.open(self._transport)
        self._keepalive.start()

    def data_received(self, data: bytes) -> None:
        self._keepalive.heard()
        try:
            self._frames.feed(data)
        except Http2Error as error:
            self._give_up(error.code, StreamEnd(INTERNAL, f"the peer does not keep to HTTP/2: {error}"))

    def pause_writing(self) -> None:
        self._outbox.pause()

    def resume_writing(self) -> None:
        self._outbox.resume()
        self._tell_writable()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._outbox.close()
        self._keepalive.stop()
        self._close(StreamEnd(UNAVAILABLE, "the connection was lost" if error is None else str(error)))

    # FrameSink

    def data_arrived(self, stream: int, chunk: memoryview, padding: int) -> None:
        self._consumed += len(chunk) + padding
        if self._consumed >= _CREDIT_STEP:
            credit, self._consumed = self._consumed, 0
            self._outbox.write(frames.window_update(0, credit) + frames.window_update(STREAM, credit))
        if stream == STREAM and self._owner is not None:
            try:
                self._messages.feed(chunk)
            except BadMessageError as error:
                self._refuse(StreamEnd(error.status, error.detail))

    def frame_arrived(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.DATA:
            if flags & frames.END_STREAM and stream == STREAM:
                self._end_reading()
        elif kind == frames.WINDOW_UPDATE:
            self._outbox.grow(stream, frames.read_number(payload) & frames.MAX_WINDOW)
            self._tell_writable()
        elif kind == frames.PING:
            if not flags & frames.ACK:
                self._outbox.answer(frames.pong(payload))
        elif kind == frames.SETTINGS:
            if not flags & frames.ACK:
                self._outbox.apply(frames.read_settings(payload))
                self._tell_writable()
        elif kind == frames.HEADERS:
            self._headers_arrived(stream, flags, frames.unpadded(flags, payload))
        elif kind == frames.RST_STREAM:
            if stream == STREAM:
                self._peer_gave_up(frames.read_number(payload))
        elif kind == frames.GOAWAY:
            code = int.from_bytes(payload[4:8], "big")
            if code != frames.NO_ERROR:  # else it takes no new streams, and ends this one in its own time
                self._peer_gave_up(code)
        elif kind in (frames.CONTINUATION, frames.PUSH_PROMISE):
            raise Http2Error(frames.PROTOCOL_ERROR, f"a frame of type {kind}")

    @abstractmethod
    def _headers_arrived(self, stream: int, flags: int, block: bytes) -> None:
        """A block of headers, as HPACK has compressed it."""

    def _end_reading(self) -> None:
        """The peer's side of the stream has ended."""
        if not self._messages.between_messages:
            raise Http2Error(frames.PROTOCOL_ERROR, "the stream ends in the middle of a message")
        if self._owner is not None:
            self._owner.reading_ended()

    def _deliver(self, message: bytes) -> None:
        if self._owner is not None:
            self._owner.message_received(message)

    def _tell_writable(self) -> None:
        if self._outbox.writable and self._owner is not None:
            self._owner.writing_resumed()

    # The end

    def _refuse(self, end: StreamEnd) -> None:
        """A message cannot be taken."""
        self._give_up(frames.CANCEL, end)

    def _give_up(self, code: int, end: StreamEnd) -> None:
        """Tells the peer that it made a mistake, and closes the connection."""
        self._outbox.write(frames.goaway(code))
        self._close(end)
        if self._transport is not None:
            self._transport.close()

    def _peer_gave_up(self, code: int) -> None:
        self._close(StreamEnd(UNAVAILABLE, f"the peer gave up with HTTP/2 error {code}"))
        self.abort()

    def _close(self, end: StreamEnd) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.stream_closed(end)

    def _ping(self) -> None:
        self._outbox.write(frames.frame(frames.PING, 0, 0, bytes(8)))

    def _peer_is_silent(self) -> None:
        self._close(StreamEnd(UNAVAILABLE, "the peer does not answer"))
        self.abort()
