"""A server that answers, hangs, drips or resets, request by request, as a test says."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Act:
    """What is sent for one request, and how the connection ends: closed, reset, or `held` open."""

    data: bytes = b""
    reset: bool = False
    held: bool = False
    drip: bool = False
    """A byte every few milliseconds after `data`, for as long as the client listens."""


@dataclass(frozen=True)
class Asked:
    """A request; header names are in lower case."""

    line: str
    headers: Mapping[str, str]
    body: bytes


def answer(status: int, body: Any, **headers: str) -> Act:
    """A whole answer of JSON; underscores of the names become hyphens."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} x", f"content-length: {len(content)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Act("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


class FailingServer:
    """Plays `acts`, one a request; the last one is played for all that follow."""

    def __init__(self, *acts: Act) -> None:
        self._acts = list(acts)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.asked: list[Asked] = []

    def run(self) -> None:
        with suppress(OSError):  # the listening socket is closed at the end
            while not self._over.is_set():
                connection, _ = self._socket.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(10)

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            asked = _read(connection)
            if asked is None:
                return
            with self._lock:
                self.asked.append(asked)
                act = self._acts.pop(0) if len(self._acts) > 1 else self._acts[0]
            connection.sendall(act.data)
            while act.drip and not self._over.wait(0.01):
                connection.sendall(b" ")
            if act.held:
                self._over.wait(30)
            if act.reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _read(connection: socket.socket) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (found.partition(": ") for found in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        part = connection.recv(65536)
        if not part:
            return None
        body += part
    return Asked(line, headers, body)


@contextmanager
def failing_server(*acts: Act) -> Iterator[FailingServer]:
    server = FailingServer(*acts)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(10)
