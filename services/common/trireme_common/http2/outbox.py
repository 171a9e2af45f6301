"""What is sent on a stream: messages cut into DATA frames, as fast as flow control lets them go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from trireme_common.http2 import frames
from trireme_common.http2.frames import STREAM, Http2Error
from trireme_common.http2.messages import PREFIX_BYTES, prefix

_MOST_UNREAD = 10_000
"""Answers to PING and SETTINGS frames for a peer that reads none of them; gRPC allows as many."""
_JOINED_BYTES = 4096
"""Up to this size, one copy of a message is cheaper than one more buffer to write."""


class Outbox:
    """The sending half of a connection with one stream.

    Both windows of flow control (RFC 9113, section 5.2) hold: the connection's and the stream's.
    """

    def __init__(self) -> None:
        self.ended = False
        """Whether our side of the stream has ended and all of it was written."""
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._unread = 0
        self._waiting: deque[memoryview] = deque()
        """What the windows do not let go yet."""
        self._final = b""
        self._window = frames.DEFAULT_WINDOW
        self._stream_window = self._initial_window = frames.DEFAULT_WINDOW
        self._frame_size = frames.DEFAULT_FRAME_SIZE

    @property
    def writable(self) -> bool:
        """Whether more messages should be sent now: neither the socket nor the peer is behind."""
        return self._transport is not None and not (self._paused or self._waiting or self._final)

    def open(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def close(self) -> None:
        """The connection is gone: nothing can be sent any more."""
        self._transport = None
        self._waiting.clear()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._unread = 0

    def write(self, data: bytes) -> None:
        """Writes frames that flow control does not count."""
        if self._transport is not None:
            self._transport.write(data)

    def answer(self, data: bytes) -> None:
        """Writes a frame that the peer asked for. Raises Http2Error where it only asks and never reads."""
        self._unread += self._paused
        if self._unread > _MOST_UNREAD:
            raise Http2Error(frames.ENHANCE_YOUR_CALM, f"{_MOST_UNREAD} answers that nobody reads")
        self.write(data)

    def send(self, message: bytes) -> None:
        """Sends a message, or keeps it until the peer can take it. After the end it is dropped."""
        transport = self._transport
        if transport is None or self._final:
            return
        size = len(message) + PREFIX_BYTES
        if self._waiting or size > self._allowance:
            self._waiting.append(memoryview(prefix(len(message))))
            if message:
                self._waiting.append(memoryview(message))
            self._write_waiting(transport)
            return
        self._spend(size)
        before = frames.head(size, frames.DATA, 0, STREAM) + prefix(len(message))
        if size <= _JOINED_BYTES:
            transport.write(before + message)
        else:
            transport.writelines((before, message))

    def end_with(self, final: bytes) -> None:
        """Ends our side of the stream with that frame, after everything that waits."""
        if self._transport is not None and not self._final:
            self._final = final
            self._write_waiting(self._transport)

    def grow(self, stream: int, credit: int) -> None:
        """The peer takes so many bytes more. Raises Http2Error."""
        if stream == 0:
            self._window += credit
        elif stream == STREAM:
            self._stream_window += credit
        self._check_windows()
        self._let_go()

    def apply(self, settings: Mapping[int, int]) -> None:
        """Takes over what the peer has set, and tells it so. Raises Http2Error."""
        size = settings.get(frames.MAX_FRAME_SIZE, self._frame_size)
        if not frames.DEFAULT_FRAME_SIZE <= size <= frames.LARGEST_FRAME_SIZE:
            raise Http2Error(frames.PROTOCOL_ERROR, f"frames of at most {size} bytes")
        initial = settings.get(frames.INITIAL_WINDOW_SIZE, self._initial_window)
        self._frame_size = size
        self._stream_window += initial - self._initial_window  # may get negative: section 6.9.2
        self._initial_window = initial
        self._check_windows()
        # First, for the peer may count by what it has set only from here on.
        self.answer(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._let_go()

    def _check_windows(self) -> None:
        if max(self._window, self._stream_window, self._initial_window) > frames.MAX_WINDOW:
            raise Http2Error(frames.FLOW_CONTROL_ERROR, "a window of more than 2^31-1 bytes")

    @property
    def _allowance(self) -> int:
        """Bytes that the next DATA frame may have."""
        return min(self._window, self._stream_window, self._frame_size)

    def _spend(self, size: int) -> None:
        self._window -= size
        self._stream_window -= size

    def _let_go(self) -> None:
        if self._transport is not None and self._waiting:
            self._write_waiting(self._transport)

    def _write_waiting(self, transport: asyncio.Transport) -> None:
        waiting = self._waiting
        while waiting and (size := min(len(waiting[0]), self._allowance)) > 0:
            chunk = waiting.popleft()
            if size < len(chunk):
                waiting.appendleft(chunk[size:])
            self._spend(size)
            transport.writelines((frames.head(size, frames.DATA, 0, STREAM), chunk[:size]))
        if self._final and not waiting and not self.ended:
            self.ended = True
            transport.write(self._final)
