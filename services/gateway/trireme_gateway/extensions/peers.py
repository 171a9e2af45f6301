"""How one worker of a gateway tells the others that something they share has changed.

Each has a datagram socket in the directory that they share. Nothing is polled: a worker that nobody
rings does nothing, and one that has changed something knows when the others have taken it over.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

logger = structlog.get_logger(__name__)

_SUFFIX = ".bell"
_RING, _SEEN = b"ring ", b"seen "
_MAX_DATAGRAM = 512


class Peers:
    """The other workers. Belongs to one event loop."""

    def __init__(self, directory: Path, on_ring: Callable[[], None], name: str) -> None:
        """`on_ring` takes over what another worker has changed; the other waits for it. `name` is this
        worker's own."""
        self._directory = directory
        self._on_ring = on_ring
        self._name = f"{name}{_SUFFIX}"
        self._waiting: set[str] = set()
        self._answered = asyncio.Event()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        # Socket addresses are short, and the directory's name may be long.
        self._at = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def open(self) -> None:
        """Can be rung from now on. Raises OSError."""
        path = self._directory / self._name
        path.unlink(missing_ok=True)  # of a worker that had the same name and died
        self._socket.bind(self._address(self._name))
        asyncio.get_running_loop().add_reader(self._socket, self._read)

    def close(self) -> None:
        with suppress(RuntimeError):  # never opened: there is no loop
            asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        (self._directory / self._name).unlink(missing_ok=True)
        os.close(self._at)

    async def ring(self, seconds: float) -> None:
        """Rings all others and waits until they have answered, for at most so long."""
        self._answered.clear()
        self._waiting = {path.name for path in self._directory.glob(f"*{_SUFFIX}")} - {self._name}
        for name in list(self._waiting):
            if not self._send(name, _RING):
                self._waiting.discard(name)
        if not self._waiting:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._answered.wait()
        except TimeoutError:
            logger.warning("workers_did_not_answer", workers=sorted(self._waiting))

    def _read(self) -> None:
        while True:
            try:
                message = self._socket.recv(_MAX_DATAGRAM)
            except BlockingIOError:
                return
            name = message[len(_RING) :].decode()
            if message.startswith(_RING):
                self._on_ring()
                self._send(name, _SEEN)
            else:
                self._waiting.discard(name)
                if not self._waiting:
                    self._answered.set()

    def _send(self, name: str, word: bytes) -> bool:
        try:
            self._socket.sendto(word + self._name.encode(), self._address(name))
        except (ConnectionRefusedError, FileNotFoundError):  # a worker that died
            (self._directory / name).unlink(missing_ok=True)
            return False
        except BlockingIOError:  # many rings wait there already, and one is enough
            return True
        return True

    def _address(self, name: str) -> str:
        return f"/proc/self/fd/{self._at}/{name}"
