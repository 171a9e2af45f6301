"""A server as a process with all its children: started, asked until it answers, and stopped whole."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.servers import ServerError

_READY_SECONDS = 90.0
_POLL_SECONDS = 0.1
_STOP_SECONDS = 20.0
_TAIL_LINES = 12


@dataclass(frozen=True)
class Launch:
    """A process to start, and `ready`, which says whether it answers yet (False or OSError: not yet)."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    """Working directory of the process; nothing of ours stands in it."""
    ready: Callable[[], bool]


@contextmanager
def launched(launch: Launch, log: Path, ready_seconds: float = _READY_SECONDS) -> Iterator[int]:
    """Process id of the server from its first answer until the end of the block. Raises ServerError."""
    launch.directory.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    with log.open("ab") as output:
        process = subprocess.Popen(
            launch.command,
            env=dict(launch.environment),
            cwd=launch.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(process, launch, log, time.monotonic() + ready_seconds)
        yield process.pid
        if process.poll() is not None:
            raise ServerError(f"{launch.name} ended by itself, {process.returncode}: {tail(log)}")
    finally:
        stop(process)


def _wait(process: subprocess.Popen[bytes], launch: Launch, log: Path, until: float) -> None:
    while True:
        if process.poll() is not None:
            raise ServerError(f"{launch.name} ended before it was ready, {process.returncode}: {tail(log)}")
        with suppress(OSError):
            if launch.ready():
                return
        if time.monotonic() > until:
            raise ServerError(f"{launch.name} did not answer in time: {tail(log)}")
        time.sleep(_POLL_SECONDS)


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the root, then SIGKILL to whatever of its tree is left."""
    tree: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        tree = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # Frameworks leave helpers behind, and what still runs would take part in the next measurement.
    _, left = psutil.wait_procs(tree, timeout=3.0)
    for each in left:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    psutil.wait_procs(left, timeout=3.0)


def tail(log: Path) -> str:
    """The last lines of a log, in one."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return " | ".join(line for line in lines[-_TAIL_LINES:] if line.strip())[-1500:] or "it said nothing"
