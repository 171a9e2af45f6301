"""Several gateway processes on the same ports: the parent that starts, watches and stops them.

The parent binds the HTTP socket and hands it down, so a worker that dies takes no waiting
connection with it. Workers are fresh processes, not forks: grpc does not survive a fork.
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

import structlog
from prometheus_client import CollectorRegistry, multiprocess, start_http_server

from trireme_common.errors import SettingsError
from trireme_gateway.settings import GatewaySettings

logger = structlog.get_logger(__name__)

HTTP_FD = "TRIREME_GATEWAY_WORKER_HTTP_FD"
GRPC_PORT = "TRIREME_GATEWAY_WORKER_GRPC_PORT"
CACHE_SECRET = "TRIREME_GATEWAY_CACHE_SECRET"
_METRICS_DIR = "PROMETHEUS_MULTIPROC_DIR"
_BACKOFF_SECONDS = (0.1, 5.0)


def reserve_grpc_port(host: str, port: int) -> socket.socket:
    """Holds a port that every worker will share by SO_REUSEPORT; never listens itself."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reserved = socket.socket(family, socket.SOCK_STREAM)
    try:
        # First alone, to learn whether someone else has it; a shared bind would join silently.
        with socket.socket(family, socket.SOCK_STREAM) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
            port = alone.getsockname()[1]
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((host, port))
    except OSError as error:
        reserved.close()
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return reserved


async def supervise(settings: GatewaySettings, http_socket: socket.socket, stop: asyncio.Event) -> None:
    """Keeps `settings.workers` workers running until `stop`, then stops them all."""
    metrics_dir = tempfile.mkdtemp(prefix="trireme-gateway-")
    reserved = reserve_grpc_port(settings.host, settings.grpc_port)
    environment = {
        # Workers share what they seal, also where no secret was given to share with other gateways.
        CACHE_SECRET: secrets.token_hex(32),
        **os.environ,
        _METRICS_DIR: metrics_dir,
        HTTP_FD: str(http_socket.fileno()),
        GRPC_PORT: str(reserved.getsockname()[1]),
    }
    try:
        _serve_metrics(settings, metrics_dir)
        async with asyncio.TaskGroup() as group:
            for number in range(settings.workers):
                group.create_task(_keep_running(number, http_socket.fileno(), environment, metrics_dir, stop))
    finally:
        reserved.close()
        http_socket.close()
        shutil.rmtree(metrics_dir, ignore_errors=True)


def _serve_metrics(settings: GatewaySettings, metrics_dir: str) -> None:
    if settings.metrics_port is None:
        return
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, metrics_dir)  # type: ignore[no-untyped-call]
    start_http_server(settings.metrics_port, addr=settings.host, registry=registry)


async def _keep_running(
    number: int, descriptor: int, environment: dict[str, str], metrics_dir: str, stop: asyncio.Event
) -> None:
    backoff = _BACKOFF_SECONDS[0]
    while not stop.is_set():
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "trireme_gateway", env=environment, pass_fds=(descriptor,)
        )
        logger.info("worker_started", worker=number, pid=process.pid)
        code = await _run_until(process, stop)
        multiprocess.mark_process_dead(process.pid, metrics_dir)  # type: ignore[no-untyped-call]
        if stop.is_set():
            return
        if time.monotonic() - started > 30:
            backoff = _BACKOFF_SECONDS[0]
        logger.error(
            "worker_died", worker=number, pid=process.pid, exit_code=code, restart_in_seconds=backoff
        )
        await asyncio.sleep(backoff)
        backoff = min(backoff * 2, _BACKOFF_SECONDS[1])


async def _run_until(process: asyncio.subprocess.Process, stop: asyncio.Event) -> int:
    """Waits for the process's own end, or ends it once `stop` is set. Returns its exit code."""
    ended = asyncio.create_task(process.wait())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not ended.done():
        process.send_signal(signal.SIGTERM)
    return await ended
