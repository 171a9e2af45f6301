"""Where the gateway listens, and who may reach it. Nothing here knows what is served."""

from __future__ import annotations

import socket

from trireme_common.errors import SettingsError
from trireme_gateway.settings import GatewaySettings

BACKLOG = 2048
"""Connections that may wait to be accepted."""
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def is_exposed(settings: GatewaySettings) -> bool:
    """Whether others than this machine's own processes reach the gateway."""
    return settings.host not in _LOOPBACK and not settings.host.startswith("127.")


def check_exposure(settings: GatewaySettings) -> None:
    """Raises SettingsError where strangers could reach the gateway and nobody said that they may."""
    if is_exposed(settings) and not settings.allow_anonymous:
        raise SettingsError(
            f"refusing to listen on {settings.host} without authentication: set "
            "TRIREME_GATEWAY_HOST=127.0.0.1, or say TRIREME_GATEWAY_ALLOW_ANONYMOUS=true if anyone who "
            "can reach it may use it"
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises SettingsError where the port is in use or the address is not ours."""
    try:
        return socket.create_server((host, port), family=_family(host), backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from error


def reserve_grpc_port(host: str, port: int) -> socket.socket:
    """Holds a port that every worker will share by SO_REUSEPORT; never listens itself.

    Raises SettingsError as `listen`.
    """
    reserved = socket.socket(_family(host), socket.SOCK_STREAM)
    try:
        # First alone, to learn whether someone else has it; a shared bind would join silently.
        with socket.socket(_family(host), socket.SOCK_STREAM) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
            port = alone.getsockname()[1]
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((host, port))
    except OSError as error:
        reserved.close()
        raise SettingsError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return reserved


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
