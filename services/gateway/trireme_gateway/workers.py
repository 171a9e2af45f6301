"""Several gateway processes on the same ports: the parent that starts, watches, replaces and stops them.

The parent binds the HTTP socket and hands it down, so a worker that dies takes no waiting
connection with it. Workers are fresh processes, not forks: grpc does not survive a fork. SIGHUP
replaces them one by one: the new one answers before the old one begins to drain.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress

import structlog
from prometheus_client import multiprocess

from trireme_gateway.listening import reserve_grpc_port
from trireme_gateway.process_metrics import shared_registry
from trireme_gateway.scaling.server import serve_metrics
from trireme_gateway.settings import GatewaySettings

logger = structlog.get_logger(__name__)

HTTP_FD = "TRIREME_GATEWAY_WORKER_HTTP_FD"
GRPC_PORT = "TRIREME_GATEWAY_WORKER_GRPC_PORT"
READY_FD = "TRIREME_GATEWAY_WORKER_READY_FD"
SHARED_DIR = "TRIREME_GATEWAY_WORKER_SHARED_DIR"
_CACHE_SECRET = "TRIREME_GATEWAY_CACHE_SECRET"
_METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"
_BACKOFF_SECONDS = (0.1, 5.0)
_READY_SECONDS = 30.0


async def supervise(settings: GatewaySettings, http_socket: socket.socket, stop: asyncio.Event) -> None:
    """Keeps `settings.workers` workers running until `stop`, then stops them all."""
    reserved = reserve_grpc_port(settings.host, settings.grpc_port)
    metrics_dir = tempfile.mkdtemp(prefix="trireme-gateway-")
    environment = {
        # Workers share what they seal, also where no secret was given to share with other gateways.
        _CACHE_SECRET: secrets.token_hex(32),
        **os.environ,
        _METRICS_DIR: metrics_dir,
        SHARED_DIR: metrics_dir,
        HTTP_FD: str(http_socket.fileno()),
        GRPC_PORT: str(reserved.getsockname()[1]),
    }
    try:
        serve_metrics(settings, shared_registry(metrics_dir, os.getpid()))
        slots = [_Slot(number, http_socket.fileno(), environment, stop) for number in range(settings.workers)]
        replacing = _replace_on_hangup(slots)
        try:
            await asyncio.gather(*(slot.run() for slot in slots))
        finally:
            replacing.cancel()
            with suppress(asyncio.CancelledError):
                await replacing
    finally:
        reserved.close()
        http_socket.close()
        shutil.rmtree(metrics_dir, ignore_errors=True)


def _replace_on_hangup(slots: list[_Slot]) -> asyncio.Task[None]:
    """Replaces every worker, one by one, each time SIGHUP has arrived."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)

    async def replace_all() -> None:
        while True:
            await asked.wait()
            asked.clear()
            for slot in slots:
                try:
                    await slot.replace()
                except OSError as error:  # no descriptor, no memory: the old worker goes on, and so do we
                    logger.error("worker_not_replaced", worker=slot.number, reason=error.strerror)

    return asyncio.create_task(replace_all())


class _Slot:
    """One worker at a time: restarted when it dies, replaced on demand."""

    def __init__(self, number: int, http_fd: int, environment: dict[str, str], stop: asyncio.Event) -> None:
        self.number = number
        self._http_fd = http_fd
        self._environment = environment
        self._stop = stop
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keeps a worker running until `stop`, and returns when the last one has ended."""
        backoff = _BACKOFF_SECONDS[0]
        while not self._stop.is_set():
            if self._process is None:
                self._process = await self._start(None)
            process, started = self._process, time.monotonic()
            code = await self._ended(process)
            if self._stop.is_set() or process is not self._process:
                continue
            self._process = None
            backoff = _BACKOFF_SECONDS[0] if time.monotonic() - started > 30 else backoff
            logger.error("worker_died", worker=self.number, exit_code=code, restart_in_seconds=backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _BACKOFF_SECONDS[1])

    async def replace(self) -> None:
        """A fresh worker beside the old one; once it answers, the old one drains and ends."""
        fresh, ready = await self._begun()
        old = self._process
        if self._stop.is_set() or not ready or old is None:
            logger.error("worker_not_replaced", worker=self.number, reason="the new worker did not get ready")
            await _end(fresh, signal.SIGTERM)
            return
        self._process = fresh
        await _end(old, signal.SIGHUP)
        self._bury(old)
        logger.info("worker_replaced", worker=self.number, old=old.pid, new=fresh.pid)

    async def _begun(self) -> tuple[asyncio.subprocess.Process, bool]:
        """A fresh worker, and whether it got ready in time. It does not outlive a cancellation."""
        reader, writer = os.pipe()
        try:
            try:
                fresh = await self._start(writer)
            finally:
                os.close(writer)
            try:
                return fresh, await _readable(reader, _READY_SECONDS) and os.read(reader, 1) == b"1"
            except BaseException:
                await _end(fresh, signal.SIGTERM)
                raise
        finally:
            os.close(reader)

    async def _start(self, ready_fd: int | None) -> asyncio.subprocess.Process:
        environment, descriptors = self._environment, [self._http_fd]
        if ready_fd is not None:
            environment = {**environment, READY_FD: str(ready_fd)}
            descriptors.append(ready_fd)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trireme_gateway", env=environment, pass_fds=descriptors
        )
        logger.info("worker_started", worker=self.number, pid=process.pid)
        return process

    async def _ended(self, process: asyncio.subprocess.Process) -> int:
        """Waits for the process's own end, or ends it once `stop` is set. Returns its exit code."""
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if self._stop.is_set():
            # A replacement may have taken this slot over in the meantime; neither may stay.
            for running in {process, self._process or process}:
                await _end(running, signal.SIGTERM)
        code = await ended
        self._bury(process)
        return code

    def _bury(self, process: asyncio.subprocess.Process) -> None:
        """Takes a dead worker's gauges out of the sums; its counters stay."""
        multiprocess.mark_process_dead(process.pid, self._environment[_METRICS_DIR])  # type: ignore[no-untyped-call]


async def _end(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Asks a worker to drain and end (SIGHUP: another one has taken over), and waits until it has."""
    with suppress(ProcessLookupError):
        process.send_signal(number)
    await process.wait()


async def _readable(descriptor: int, seconds: float) -> bool:
    """Whether `descriptor` has something to read, or was closed at its other end, within `seconds`."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        async with asyncio.timeout(seconds):
            await readable.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
    return True
