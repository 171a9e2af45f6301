"""What this process is: the whole gateway, the parent of several workers, or one of them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from prometheus_client import REGISTRY

from trireme_common.imports import kept_imports
from trireme_gateway.listening import check_exposure, listen
from trireme_gateway.scaling.server import serve_metrics
from trireme_gateway.settings import GatewaySettings
from trireme_gateway.workers import GRPC_PORT, HTTP_FD, READY_FD, SHARED_DIR, supervise


async def serve(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Runs the role that settings and environment give this process, until `stop` is set."""
    if HTTP_FD in os.environ:
        inherited = socket.socket(fileno=int(os.environ[HTTP_FD]))
        shared = Path(os.environ[SHARED_DIR])
        await _worker()(settings, inherited, int(os.environ[GRPC_PORT]), stop, announce_ready, shared)
        return
    check_exposure(settings)
    http_socket = listen(settings.host, settings.http_port)
    if settings.workers > 1:
        await supervise(settings, http_socket, stop)
        return
    serve_metrics(settings, REGISTRY)
    await _worker()(settings, http_socket, settings.grpc_port, stop)


def _worker() -> Callable[..., Awaitable[None]]:
    """What serves; loaded here, because a parent serves nothing, and its workers would wait for that."""
    with kept_imports():
        from trireme_gateway.worker import serve_worker
    return serve_worker


def announce_ready() -> None:
    """Tells the parent, where it waits for that, that this worker answers."""
    descriptor = os.environ.pop(READY_FD, None)
    if descriptor is not None:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))
