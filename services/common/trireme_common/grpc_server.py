"""A grpc.aio server as every service of the platform runs it: limits, health, reflection, drain."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping, Sequence

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from trireme_common.errors import SettingsError
from trireme_common.http2.door import Door
from trireme_common.http2.server import ServeStream

MAX_MESSAGE_BYTES = 64 * 1024 * 1024

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


class GrpcServer:
    """Server with grpc.health.v1 (overall, `startup`, `readiness`, `liveness`) and reflection.

    The port is bound by the constructor, so that a port in use is an error before anything loads.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handlers: Sequence[grpc.GenericRpcHandler[bytes, bytes]],
        service_names: Sequence[str],
        *,
        share_port: bool = False,
        streams: Mapping[str, ServeStream] | None = None,
    ) -> None:
        """`streams` has the methods, as `/package.Service/Method`, that are served on connections for one
        stream too; without any, the port is gRPC's alone."""
        self._server = grpc.aio.server(options=(*_OPTIONS, ("grpc.so_reuseport", int(share_port))))
        self._server.add_generic_rpc_handlers(tuple(handlers))
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self._names = ("", "startup", "readiness", *service_names)
        self._door: Door | None = None
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            if streams is None:
                self.port: int = self._server.add_insecure_port(address)
            else:
                # A name without a file: nothing to clean up, and a read-only root does not matter.
                behind = f"trireme-{os.getpid()}-{secrets.token_hex(16)}"
                self._door = Door(host, port, f"\0{behind}", streams, MAX_MESSAGE_BYTES)
                self.port = self._door.port
                self._server.add_insecure_port(f"unix-abstract:{behind}")
        except (RuntimeError, OSError) as error:
            raise SettingsError(
                f"cannot listen on {address}: the port is in use or the address is not ours"
            ) from error

    async def start(self) -> None:
        """Accepts calls; the server is alive and not yet ready."""
        await self._health.set("liveness", health_pb2.HealthCheckResponse.SERVING)
        await self.set_ready(False)
        await self._server.start()
        if self._door is not None:
            await self._door.start()

    async def set_started(self) -> None:
        """Says SERVING for `startup` alone: what there is to load has been looked at."""
        await self._health.set("startup", health_pb2.HealthCheckResponse.SERVING)

    async def set_ready(self, ready: bool) -> None:
        status = (
            health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in self._names:
            await self._health.set(name, status)

    async def stop(self, *, drain_seconds: float, grace_seconds: float) -> None:
        """NOT_SERVING, a wait in which gateways turn away, then no new calls and a grace for the rest."""
        await self.set_ready(False)
        await asyncio.sleep(drain_seconds)
        ends = [self._server.stop(grace_seconds)]
        if self._door is not None:
            ends.append(self._door.stop(grace_seconds))
        await asyncio.gather(*ends)
