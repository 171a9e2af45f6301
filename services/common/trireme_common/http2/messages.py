"""Messages of gRPC in the DATA frames of HTTP/2: one byte of flags, four of length, and the message."""

from __future__ import annotations

import struct
from collections.abc import Callable

_PREFIX = struct.Struct(">BI")

PREFIX_BYTES = _PREFIX.size

_SMALL_BYTES = 1024
"""Parts of a message below that are copied at once: a view costs more, and keeps all that came with it."""


class BadMessageError(Exception):
    """What came is no message that can be taken. `status` is the gRPC status code to say so."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


OK = 0
UNKNOWN = 2
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14


def prefix(size: int) -> bytes:
    """What stands before a message of `size` bytes."""
    return _PREFIX.pack(0, size)


class MessageReader:
    """Puts messages together. Their bytes are copied once, when the last of them has come."""

    def __init__(self, take: Callable[[bytes], None], largest: int) -> None:
        """`take` gets every message; one of more than `largest` bytes is refused before it is read."""
        self._take = take
        self._largest = largest
        self._prefix = b""
        """Beginning of a prefix that is not there as a whole."""
        self._chunks: list[memoryview | bytearray] = []
        self._left: int | None = None
        """Bytes to come of the message under way; None between two messages."""

    @property
    def between_messages(self) -> bool:
        return self._left is None and not self._prefix

    def feed(self, chunk: memoryview) -> None:
        """Takes payload of DATA frames. Raises BadMessageError."""
        at, end = 0, len(chunk)
        while True:
            if self._left is None:
                at = self._read_prefix(chunk, at)
                if self._left is None:
                    return
            part = chunk[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            if self._left:
                self._keep(part)
                return
            self._complete(part)
            if at == end:
                return

    def _read_prefix(self, chunk: memoryview, at: int) -> int:
        missing = PREFIX_BYTES - len(self._prefix)
        if not self._prefix and len(chunk) - at >= missing:
            compressed, size = _PREFIX.unpack_from(chunk, at)
        else:
            self._prefix += bytes(chunk[at : at + missing])
            if len(self._prefix) < PREFIX_BYTES:
                return len(chunk)
            compressed, size = _PREFIX.unpack(self._prefix)
            self._prefix = b""
        if compressed:
            raise BadMessageError(UNIMPLEMENTED, "messages of this stream cannot be compressed")
        if size > self._largest:
            detail = f"a message of {size} bytes, at most {self._largest} can be taken"
            raise BadMessageError(RESOURCE_EXHAUSTED, detail)
        self._left = size
        return at + missing

    def _keep(self, part: memoryview) -> None:
        last = self._chunks[-1] if self._chunks else None
        if len(part) >= _SMALL_BYTES:
            self._chunks.append(part)
        elif isinstance(last, bytearray):
            last += part
        elif part:
            self._chunks.append(bytearray(part))

    def _complete(self, last: memoryview) -> None:
        self._left = None
        if not self._chunks:
            self._take(bytes(last))
            return
        chunks, self._chunks = self._chunks, []
        chunks.append(last)
        self._take(b"".join(chunks))
