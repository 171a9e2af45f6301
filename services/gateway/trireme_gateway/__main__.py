"""`python -m trireme_gateway`: the gateway, or one worker of it where a parent handed down a socket."""

import asyncio
import os
import socket
import sys
from pathlib import Path

from prometheus_client import REGISTRY

from trireme_common.process import run_service
from trireme_gateway.bootstrap import check_exposure
from trireme_gateway.http_server import listen
from trireme_gateway.scaling.server import serve_metrics
from trireme_gateway.settings import GatewaySettings
from trireme_gateway.worker import serve_worker
from trireme_gateway.workers import GRPC_PORT, HTTP_FD, READY_FD, SHARED_DIR, supervise


async def serve(settings: GatewaySettings, stop: asyncio.Event) -> None:
    """Runs the gateway, or the worker that the environment says this is, until `stop` is set."""
    if HTTP_FD in os.environ:
        inherited = socket.socket(fileno=int(os.environ[HTTP_FD]))
        shared = Path(os.environ[SHARED_DIR])
        await serve_worker(settings, inherited, int(os.environ[GRPC_PORT]), stop, announce_ready, shared)
        return
    check_exposure(settings)
    http_socket = listen(settings.host, settings.http_port)
    if settings.workers > 1:
        await supervise(settings, http_socket, stop)
        return
    serve_metrics(settings, REGISTRY)
    await serve_worker(settings, http_socket, settings.grpc_port, stop)


def announce_ready() -> None:
    """Tells the parent, where it waits for that, that this worker answers."""
    descriptor = os.environ.pop(READY_FD, None)
    if descriptor is not None:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))


if __name__ == "__main__":
    sys.exit(run_service("gateway", GatewaySettings, serve))
