"""One gateway process: HTTP on an inherited or own socket, and the streams to the stages."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from trireme_common.grpc_server import GrpcServer
from trireme_common.process import settle_heap
from trireme_common.stage_stream import cancel_and_wait
from trireme_gateway.app import create_app
from trireme_gateway.bootstrap import open_services
from trireme_gateway.draining import Draining
from trireme_gateway.extensions.bootstrap import open_extensions
from trireme_gateway.grpc_front import build_front
from trireme_gateway.http_server import HttpServer
from trireme_gateway.middleware import AccessLog
from trireme_gateway.services import Services
from trireme_gateway.settings import GatewaySettings

_READINESS_SECONDS = 0.2
_REFUSAL_SECONDS = 1.0

logger = structlog.get_logger(__name__)


async def serve_worker(
    settings: GatewaySettings,
    http_socket: socket.socket,
    grpc_port: int,
    stop: asyncio.Event,
    announce: Callable[[], None] | None = None,
    shared: Path | None = None,
) -> None:
    """Serves until `stop` is set.

    A worker of several is given `announce`, calls it once, when requests can be answered, and takes
    SIGHUP as the word that another worker has taken over; `shared` is the directory that they share.

    Order of the end: readiness 503 and `connection: close` on every answer while requests are still
    taken, then the listeners, then the requests under way, then the streams to the stages, then what
    is left to be said of them in traces.
    """
    draining = Draining()
    access_log = AccessLog()
    async with AsyncExitStack() as stack:
        extensions = await stack.enter_async_context(open_extensions(settings, shared))
        services = await stack.enter_async_context(open_services(settings, draining, extensions))
        handlers, names = build_front(services, access_log)
        front = GrpcServer(settings.host, grpc_port, handlers, names, share_port=settings.workers > 1)
        server = HttpServer(create_app(services, access_log), grace_seconds=settings.grace_seconds)
        await front.start()
        mirror = asyncio.create_task(_mirror_readiness(services, front, announce or _nobody))
        stack.push_async_callback(cancel_and_wait, mirror)
        serving = asyncio.create_task(server.run_on(http_socket))
        port = http_socket.getsockname()[1]
        logger.info("listening", host=settings.host, http_port=port, grpc_port=front.port)
        settle_heap()
        if announce is not None:
            _leave_on_hangup(draining, stop)
        await stop.wait()
        draining.begun = True
        refusing = asyncio.create_task(
            _refuse_held(services, settings.drain_seconds + settings.grace_seconds)
        )
        stack.push_async_callback(cancel_and_wait, refusing)
        mirror.cancel()
        await asyncio.gather(
            front.stop(drain_seconds=settings.drain_seconds, grace_seconds=settings.grace_seconds),
            _stop_http(server, serving, settings.drain_seconds),
            _end_streams(draining, settings.drain_seconds),
        )


def _leave_on_hangup(draining: Draining, stop: asyncio.Event) -> None:
    def leave() -> None:
        draining.replaced = True
        stop.set()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, leave)


def _nobody() -> None:
    """Nobody waits to hear that this process is ready."""


async def _mirror_readiness(services: Services, front: GrpcServer, announce: Callable[[], None]) -> None:
    """Keeps grpc.health.v1 in step with what /readyz says."""
    known = announced = False
    while True:
        if services.ready != known:
            known = services.ready
            await front.set_ready(known)
            if known and not announced:
                announced = True
                announce()
        await asyncio.sleep(_READINESS_SECONDS)


async def _stop_http(server: HttpServer, serving: asyncio.Task[None], drain_seconds: float) -> None:
    await asyncio.sleep(drain_seconds)
    await server.stop(serving)


async def _refuse_held(services: Services, seconds: float) -> None:
    """Requests that are held may go on waiting through the grace, but are answered before its end."""
    await asyncio.sleep(max(0.0, seconds - _REFUSAL_SECONDS))
    services.holding.close()


async def _end_streams(draining: Draining, drain_seconds: float) -> None:
    await asyncio.sleep(drain_seconds)
    draining.over.set()
