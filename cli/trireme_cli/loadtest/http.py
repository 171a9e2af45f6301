"""HTTP/1.1 as a load generator needs it: one request out, one whole answer back, again and again.

httpx costs ten times what the gateway does for a request, so the generator would measure itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 ([1-5]\d\d)(?: |\r\n)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)[ \t]*\r\n", re.IGNORECASE)
_UNKEPT = re.compile(rb"\r\n(transfer-encoding: *\S+|connection: *close)[ \t]*\r\n", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_MAX_HEAD_BYTES = 256 * 1024


class ProtocolError(Exception):
    """The server sent something else than one whole answer to one request."""


class Response(NamedTuple):
    """`head` is the status line and the headers, with the line end that closes the last of them."""

    status: int
    head: bytes
    body: bytes
    closes: bool = False
    """Whether the server closes the connection after this answer."""

    def header(self, name: str) -> str | None:
        """Value of the header `name`, or None."""
        pattern = rb"\r\n" + re.escape(name.encode()) + rb": *([^\r\n]*?)[ \t]*\r\n"
        found = re.search(pattern, self.head, re.IGNORECASE)
        return found[1].decode("latin-1") if found else None


class ResponseParser:
    """Puts one answer after the other together from the pieces that a socket gives.

    A `strict` one refuses what a kept connection with known lengths does not carry: chunks, and a
    connection that the server closes.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict
        self._data = b""
        self._head_end = -1
        self._end = 0
        self._closes = self._chunked = False

    def feed(self, data: bytes) -> Response | None:
        """The answer that `data` completes, or None. Raises ProtocolError."""
        data = self._data = self._data + data if self._data else data
        if self._head_end < 0:
            self._read_head(data)
            if self._head_end < 0:
                return None
        body: bytes | None
        if self._chunked:
            body = self._read_chunks(data)
            if body is None:
                return None
        elif len(data) < self._end:
            return None
        else:
            body = data[self._head_end + 4 : self._end]
        if len(data) > self._end:
            raise ProtocolError(f"{len(data) - self._end} bytes follow an answer that nobody asked for")
        response = Response(int(data[9:12]), data[: self._head_end + 2], body, self._closes)
        self._data = b""
        self._head_end = -1
        return response

    def _read_head(self, data: bytes) -> None:
        end = data.find(_HEAD_END)
        if end < 0:
            if len(data) > _MAX_HEAD_BYTES:
                raise ProtocolError(f"no end of the headers within {_MAX_HEAD_BYTES} bytes")
            return
        head = data[: end + 2]
        if not _STATUS.match(head):
            raise ProtocolError(f"no status line: {data[:40]!r}")
        self._closes = self._chunked = False
        if _UNKEPT.search(head):
            self._read_unkept(head)
        if not self._chunked:
            length = _LENGTH.search(head)
            if length is None:
                raise ProtocolError("the answer has no content-length")
            self._end = end + 4 + int(length[1])
        self._head_end = end

    def _read_unkept(self, head: bytes) -> None:
        for line in _UNKEPT.findall(head.replace(b"\r\n", b"\r\n\r\n")):
            said = line.decode("latin-1")
            if self._strict:
                raise ProtocolError(f"the connection cannot be kept: {said}")
            if said.lower().startswith("connection"):
                self._closes = True
            elif said.lower().endswith("chunked"):
                self._chunked = True
            else:
                raise ProtocolError(f"an answer in an unknown form: {said}")

    def _read_chunks(self, data: bytes) -> bytes | None:
        """The body put together, or None where its end is not there yet."""
        at = self._head_end + 4
        parts: list[bytes] = []
        while (size := _CHUNK.match(data, at)) is not None:
            start, length = size.end(), int(size[1], 16)
            if length == 0:
                return self._end_chunks(data, start, parts)
            at = start + length + 2
            if at > len(data):
                return None
            if data[at - 2 : at] != b"\r\n":
                raise ProtocolError("a chunk is longer than it says")
            parts.append(data[start : at - 2])
        if data.find(b"\r\n", at) >= 0:
            raise ProtocolError(f"no chunk size: {data[at : at + 40]!r}")
        return None

    def _end_chunks(self, data: bytes, start: int, parts: list[bytes]) -> bytes | None:
        """After the last chunk: an empty line, or trailers and one."""
        if data[start : start + 2] == b"\r\n":
            self._end = start + 2
            return b"".join(parts)
        end = data.find(_HEAD_END, start)
        if end < 0:
            return None
        self._end = end + 4
        return b"".join(parts)


def build_request(
    target: str,
    content_type: str,
    body: bytes,
    *,
    host: str = "127.0.0.1",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A whole POST request; `target` and all header values are ASCII."""
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"POST {target} HTTP/1.1\r\nhost: {host}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode("ascii") + body
