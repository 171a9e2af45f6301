"""A web server in a thread of this process that can cut, stall and count: what bad networks do, on order."""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import SplitResult, unquote, urlsplit

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Request:
    """What a client asked for. Header names are in lower case."""

    parts: SplitResult
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return unquote(self.parts.path)


@dataclass(frozen=True)
class Answer:
    """A whole answer; `file` honours ranges and conditions."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    file: bool = False


def file_answer(body: bytes, etag: str | None = None) -> Answer:
    """A file with an ETag, of its content by default."""
    return Answer(200, body, {"ETag": etag or f'"{hashlib.md5(body).hexdigest()}"'}, file=True)


class WebServer:
    """Answers by `answer(request)`. Everything sent as a file's body is counted and may be cut."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.body_bytes = 0
        """Bytes of files' bodies that were sent."""
        self.cuts: list[int] = []
        """Each ends one body after so many bytes; used up from the front."""
        self.ranges = True
        """Whether Range is honoured."""
        self.stalled = threading.Event()
        """Set: bodies stop after their cut and stay open, instead of being reset."""
        self.lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, suffix: str) -> list[Request]:
        """Requests whose path ends so."""
        return [request for request in self.requests if request.path.endswith(suffix)]

    @contextmanager
    def running(self) -> Iterator[WebServer]:
        """Serves until the end of the block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


def _handler(server: WebServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(urlsplit(self.path), headers)
            with server.lock:
                server.requests.append(request)
            answer = server.answer(request)
            if answer.file:
                self._send_file(answer, headers)
            else:
                self._head(answer.status, len(answer.body), answer.headers)
                self._write(answer.body)

        do_HEAD = do_GET

        def _send_file(self, answer: Answer, headers: Mapping[str, str]) -> None:
            etag = answer.headers["ETag"]
            if headers.get("if-none-match") == etag:
                self._head(304, 0, answer.headers)
                return
            if headers.get("if-match", etag) != etag:
                self._head(412, 0, {})
                return
            body, status, more = answer.body, 200, dict(answer.headers)
            more["Last-Modified"] = "Wed, 01 Jan 2025 00:00:00 GMT"
            asked = _RANGE.fullmatch(headers.get("range", "")) if server.ranges else None
            if asked is not None:
                start, end = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
                if start >= len(body):
                    self._head(416, 0, {"Content-Range": f"bytes */{len(body)}"})
                    return
                more["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
                body, status = body[start : end + 1], 206
            self._head(status, len(body), more)
            self._send_body(body)

        def _send_body(self, body: bytes) -> None:
            with server.lock:
                cut = server.cuts.pop(0) if server.cuts and server.cuts[0] < len(body) else None
                server.body_bytes += len(body) if cut is None else cut
            self._write(body[:cut])
            if cut is None:
                return
            while server.stalled.is_set():
                threading.Event().wait(0.02)
            # A reset instead of an orderly end, as a crashed server or a lost route gives.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_WR)

        def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def _write(self, body: bytes) -> None:
            try:
                self.wfile.write(body)
                self.wfile.flush()
            except OSError:  # the client has left
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler
