"""HTTP/1.1 as a keep-alive client needs it: one request out, one answer with a content-length back."""

from __future__ import annotations

import re
from typing import NamedTuple

_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5]\d\d)(?: |\r\n)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)[ \t]*\r\n", re.IGNORECASE)
_REFUSED = re.compile(rb"\r\n(transfer-encoding: *\S+|connection: *close)[ \t]*\r\n", re.IGNORECASE)


class ProtocolError(Exception):
    """The server sent something else than one whole answer to one request."""


class Response(NamedTuple):
    """`head` is the status line and the headers, with the line end that closes the last of them."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """Value of the header `name`, or None."""
        pattern = rb"\r\n" + re.escape(name.encode()) + rb": *([^\r\n]*?)[ \t]*\r\n"
        found = re.search(pattern, self.head, re.IGNORECASE)
        return found[1].decode("latin-1") if found else None


class ResponseParser:
    """Puts one answer after the other together from the pieces that a socket gives."""

    def __init__(self) -> None:
        self._data = b""
        self._head_end = -1
        self._end = 0

    def feed(self, data: bytes) -> Response | None:
        """The answer that `data` completes, or None. Raises ProtocolError."""
        data = self._data = self._data + data if self._data else data
        if self._head_end < 0:
            self._read_head(data)
            if self._head_end < 0:
                return None
        if len(data) < self._end:
            return None
        if len(data) > self._end:
            raise ProtocolError(f"{len(data) - self._end} bytes follow an answer that nobody asked for")
        response = Response(int(data[9:12]), data[: self._head_end + 2], data[self._head_end + 4 :])
        self._data = b""
        self._head_end = -1
        return response

    def _read_head(self, data: bytes) -> None:
        end = data.find(_HEAD_END)
        if end < 0:
            return
        head = data[: end + 2]
        if not _STATUS.match(head):
            raise ProtocolError(f"no status line: {data[:40]!r}")
        refused = _REFUSED.search(head)
        if refused:
            raise ProtocolError(f"the connection cannot be kept: {refused[1].decode('latin-1')}")
        length = _LENGTH.search(head)
        if length is None:
            raise ProtocolError("the answer has no content-length")
        self._head_end = end
        self._end = end + 4 + int(length[1])


def build_request(target: str, content_type: str, body: bytes) -> bytes:
    """A whole POST request."""
    head = (
        f"POST {target} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
