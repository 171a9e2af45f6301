"""The service's side of a nursery: starts it when a worker is first wanted, and again if it dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

import structlog

from trireme_inference.workers.channel import socket_pair
from trireme_inference.workers.nursery import END, FORK, READY

logger = structlog.get_logger(__name__)

_NURSERY = "trireme_inference.workers"
_SERVING = "trireme_inference.workers.serving"
_MAX_ANSWER_BYTES = 1000
_ORDER_SECONDS = 30.0


class SpawnError(Exception):
    """No worker can be started; says why."""


class Spawner:
    """Forks workers from a process that has imported `modules` for them, or from one that has not where
    that process says that it cannot: then each worker does, or says why not. One that only did not get so
    far in `start_seconds`, or ended, is tried again the next time. Used from any thread."""

    def __init__(self, modules: Sequence[str] = (), *, start_seconds: float = 120.0) -> None:
        self._modules = tuple(modules)
        self._start_seconds = start_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._closed = False

    @property
    def pid(self) -> int:
        """Process id of the nursery; 0 while there is none."""
        return self._process.pid if self._process is not None else 0

    def fork(self, connection: socket.socket) -> int:
        """Process id of a new worker that serves `connection`. Raises SpawnError."""
        with self._lock:
            self._require_nursery()
            pid = int(self._ordered(FORK, connection))
        if pid < 0:
            raise SpawnError(f"the kernel refuses another process: {os.strerror(-pid)}")
        return pid

    def end(self, pid: int) -> str:
        """Kills and reaps the worker, dead or alive. Says how it had ended, empty where unknown."""
        with self._lock:
            if self._socket is None:
                return ""  # its nursery has gone, and it with that one
            try:
                status = int(self._ordered(END + str(pid).encode()))
            except SpawnError:
                return ""
        return _told(status)

    def close(self) -> None:
        """Ends the nursery, and with it every worker that is left."""
        with self._lock:
            self._closed = True
            self._discard()

    def _require_nursery(self) -> None:
        if self._closed:
            raise SpawnError("the service is ending")
        if self._socket is not None:
            return
        try:
            self._start()
        except (OSError, EOFError) as error:
            self._discard()
            raise SpawnError(f"the process that starts workers cannot be started: {error}") from error

    def _ordered(self, order: bytes, connection: socket.socket | None = None) -> bytes:
        try:
            return self._asked(order, connection)
        except (OSError, EOFError) as error:
            self._discard()
            raise SpawnError(f"the process that starts workers has gone: {error}") from error

    def _asked(self, order: bytes, connection: socket.socket | None) -> bytes:
        assert self._socket is not None
        self._socket.settimeout(_ORDER_SECONDS)
        if connection is not None:
            socket.send_fds(self._socket, [order], [connection.fileno()])
        elif order:
            self._socket.send(order)
        answer = self._socket.recv(_MAX_ANSWER_BYTES)
        if not answer:
            raise EOFError("it closed its socket")
        return answer

    def _start(self) -> None:
        told = self._launched(self._modules)
        if told != READY and self._modules:
            logger.warning("workers_not_preloaded", modules=self._modules, reason=told)
            self._modules = ()
            told = self._launched(())
        if told != READY:
            raise SpawnError(f"the process that starts workers cannot run: {told}")

    def _launched(self, modules: Sequence[str]) -> str:
        """READY, or why the nursery that was started says it is of no use. Raises OSError (TimeoutError where
        it says nothing in time), and EOFError where it ended."""
        ours, theirs = socket_pair()
        with theirs:
            self._socket = ours
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", _NURSERY, str(theirs.fileno()), _SERVING, *modules],
                pass_fds=(theirs.fileno(),),
                env={**os.environ, **_environment()},
                stdin=subprocess.DEVNULL,
                # What runtimes print may quote an input.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        ours.settimeout(self._start_seconds)
        told = ours.recv(_MAX_ANSWER_BYTES).decode(errors="replace")
        if not told:
            raise EOFError("it ended while it started")
        if told != READY:
            self._discard()
        return told

    def _discard(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._socket = self._process = None


def _environment() -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # Numpy's BLAS would start threads, and a process with threads must not fork.
        "OPENBLAS_NUM_THREADS": "1",
    }


def _told(status: int) -> str:
    if status < 0:
        return ""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return f"killed by {signal.Signals(number).name if number in signal.valid_signals() else number}"
    return f"ended with {os.waitstatus_to_exitcode(status)}"
