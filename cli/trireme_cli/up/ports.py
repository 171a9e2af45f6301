"""TCP ports: is one free, and which may a service keep for the life of the platform."""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
from pathlib import Path

from trireme_cli.failure import Failure
from trireme_cli.up.port_owner import owner_of

_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 20_000
_ATTEMPTS = 200


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def reachable_from_here(host: str) -> str:
    """The address at which this machine reaches a server that binds `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def join(host: str, port: int) -> str:
    """`host:port`, with the brackets that IPv6 wants."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class PortAllocator:
    """Hands out ports that are free now, none of them twice.

    They lie below the range from which the kernel takes the ports of outgoing connections: a client
    that keeps calling a dead service on a port of that range ends up connected to itself, and the
    service that is started again would then find its own port in use.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._taken: set[int] = set()

    def reserve(self, host: str, port: int, option: str) -> int:
        """`port` if it is free at `host`, a free one for 0. Raises Failure that says what to do."""
        if port == 0:
            return self.free(host)
        problem = bind_problem(host, port)
        if problem is not None:
            raise Failure(_explain(problem, host, port, option))
        if port in self._taken:
            raise Failure(f"{option} {port} is already given to another server; choose another port")
        self._taken.add(port)
        return port

    def free(self, host: str) -> int:
        """A port nothing listens on. Raises Failure if `host` cannot be bound at all."""
        low, high = _outside_ephemeral_range()
        for _ in range(_ATTEMPTS):
            port = self._random.randint(low, high)
            if port in self._taken:
                continue
            problem = bind_problem(host, port)
            if problem is None:
                self._taken.add(port)
                return port
            if problem.errno != errno.EADDRINUSE:
                raise Failure(_explain(problem, host, port, "--host"))
        raise Failure(f"no free port between {low} and {high} on {host}")


def bind_problem(host: str, port: int) -> OSError | None:
    """Why a server cannot bind `host:port`, or None if it can."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None


def _outside_ephemeral_range() -> tuple[int, int]:
    try:
        low, high = (int(part) for part in _EPHEMERAL_RANGE.read_text().split())
    except (OSError, ValueError):
        low, high = 32_768, 60_999
    if low - _LOWEST >= 1_000:
        return _LOWEST, low - 1
    return (high + 1, 65_535) if 65_535 - high >= 1_000 else (_LOWEST, 65_535)


def _explain(problem: OSError, host: str, port: int, option: str) -> str:
    where = join(host, port)
    if problem.errno == errno.EADDRINUSE:
        owner = owner_of(port)
        by = f" by {owner}" if owner else ""
        return (
            f"port {port} on {host} is in use{by}.\n"
            f"Stop that program, or choose another port: {option} {port + 1}, or {option} 0 for any free one."
        )
    if problem.errno == errno.EACCES:
        return f"no right to listen on {where}.\nPorts below 1024 belong to root; choose another: {option} 0"
    if problem.errno == errno.EADDRNOTAVAIL or isinstance(problem, socket.gaierror):
        return f"{host} is no address of this machine.\nUse --host 127.0.0.1, or one that `ip addr` lists."
    return f"cannot listen on {where}: {problem.strerror or problem}"
