"""Frames of HTTP/2 (RFC 9113, sections 4 and 6), as far as one gRPC stream a connection needs them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Protocol

STREAM = 1
"""The first stream that a client may open, and the only one here."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)

ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITISED = 0x20

ENABLE_PUSH = 0x2
INITIAL_WINDOW_SIZE = 0x4
MAX_FRAME_SIZE = 0x5
ONE_STREAM = 0xF531
"""A setting of our own (0xF000 and above are for experiments, others ignore it): 1 says that the connection
is for one stream alone."""

NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
INTERNAL_ERROR = 0x2
FLOW_CONTROL_ERROR = 0x3
FRAME_SIZE_ERROR = 0x6
REFUSED_STREAM = 0x7
CANCEL = 0x8
ENHANCE_YOUR_CALM = 0xB

DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1
DEFAULT_FRAME_SIZE = 16_384
LARGEST_FRAME_SIZE = 2**24 - 1

HEAD = struct.Struct(">BHBBI")
"""Length (8 and 16 bits), type, flags, stream."""
_LARGEST_WHOLE = 65_536
"""Bytes of a frame that is read as a whole: any but DATA without padding. No gRPC peer sends larger ones."""
SETTING = struct.Struct(">HI")
"""Identifier and value."""


class Http2Error(Exception):
    """The peer does not keep to HTTP/2. `code` is the error code to tell it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """The 9 bytes before a frame's payload of `length` bytes."""
    return HEAD.pack(length >> 16, length & 0xFFFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return head(len(payload), kind, flags, stream) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*each) for each in values.items()))


def read_settings(payload: bytes) -> dict[int, int]:
    """What a SETTINGS frame sets. Raises Http2Error."""
    if len(payload) % SETTING.size:
        raise Http2Error(FRAME_SIZE_ERROR, "a SETTINGS frame ends in the middle of a setting")
    return dict(SETTING.iter_unpack(payload))


def read_number(payload: bytes) -> int:
    """The number that is all of a WINDOW_UPDATE or RST_STREAM frame. Raises Http2Error."""
    if len(payload) != 4:
        raise Http2Error(FRAME_SIZE_ERROR, f"a frame of {len(payload)} bytes that has four")
    return int.from_bytes(payload, "big")


def pong(payload: bytes) -> bytes:
    """The answer to a PING frame. Raises Http2Error."""
    if len(payload) != 8:
        raise Http2Error(FRAME_SIZE_ERROR, "a PING frame has eight bytes")
    return frame(PING, ACK, 0, payload)


def goaway(code: int) -> bytes:
    """A GOAWAY frame that tells why the connection is closed."""
    return frame(GOAWAY, 0, 0, STREAM.to_bytes(4, "big") + code.to_bytes(4, "big"))


def window_update(stream: int, credit: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, credit.to_bytes(4, "big"))


def unpadded(flags: int, payload: bytes) -> bytes:
    """Payload of a DATA or HEADERS frame without padding and priority. Raises Http2Error."""
    start = end = 0
    if flags & PADDED:
        start, end = 1, payload[0] if payload else 0
    if flags & PRIORITISED:
        start += 5
    if start + end > len(payload):
        raise Http2Error(PROTOCOL_ERROR, "a frame is shorter than its padding")
    return payload[start : len(payload) - end]


class FrameSink(Protocol):
    """Who takes the frames."""

    def data_arrived(self, stream: int, chunk: memoryview, padding: int) -> None:
        """Some of the payload of a DATA frame, once it is there. Flow control counts its padding too."""

    def frame_arrived(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """A frame as a whole; of a DATA frame, the payload has been handed over before."""


class FrameReader:
    """Cuts what arrives into frames. Payload of DATA frames is handed on as it comes, without a copy."""

    def __init__(self, sink: FrameSink, largest_frame: int) -> None:
        self._sink = sink
        self._largest_frame = largest_frame
        self._rest = b""
        """Beginning of a frame that is not there as a whole."""
        self._data_left = 0
        """Bytes to come of the DATA frame that is under way."""
        self._data_flags = 0
        self._data_stream = 0

    def feed(self, data: bytes) -> None:
        """Takes what the connection brought. Raises Http2Error."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        view = memoryview(data)
        at, end = 0, len(data)
        if self._data_left:
            at = self._more_data(view, 0)
        while end - at >= HEAD.size:
            high, low, kind, flags, stream = HEAD.unpack_from(data, at)
            length = high << 16 | low
            if length > self._largest_frame:
                raise Http2Error(FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            stream &= MAX_WINDOW  # the highest bit is reserved
            if kind == DATA and not flags & PADDED:
                self._data_left, self._data_flags, self._data_stream = length, flags, stream
                at = self._more_data(view, at + HEAD.size)
                continue
            if length > _LARGEST_WHOLE:
                raise Http2Error(FRAME_SIZE_ERROR, f"a frame of type {kind} with {length} bytes")
            after = at + HEAD.size + length
            if after > end:
                break
            self._whole_frame(kind, flags, stream, data[at + HEAD.size : after])
            at = after
        if at < end:
            self._rest = data[at:]

    def _more_data(self, view: memoryview, at: int) -> int:
        """Hands on what there is of the DATA frame under way; returns where it ends."""
        chunk = view[at : at + self._data_left]
        self._data_left -= len(chunk)
        if chunk:
            self._sink.data_arrived(self._data_stream, chunk, 0)
        if not self._data_left:
            self._sink.frame_arrived(DATA, self._data_flags, self._data_stream, b"")
        return at + len(chunk)

    def _whole_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            found = unpadded(flags & PADDED, payload)
            self._sink.data_arrived(stream, memoryview(found), len(payload) - len(found))
            payload = b""
        self._sink.frame_arrived(kind, flags, stream, payload)
