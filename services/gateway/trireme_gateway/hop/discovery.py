"""Which endpoints a stage has: its addresses, asked again and again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import structlog

from trireme_gateway.hop.ports import Resolve

logger = structlog.get_logger(__name__)


async def system_resolve(host: str, port: int) -> list[str]:
    """`Resolve` by the system's resolver."""
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label over 63 characters
        raise OSError(f"'{host}' is no host name") from error
    ips = [str(info[4][0]) for info in infos]
    return [f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip in ips]


class Discovery:
    """Resolves `host:port` addresses. A name that cannot be asked, or has no address, keeps what it had."""

    def __init__(self, addresses: Sequence[str], resolve: Resolve) -> None:
        self._resolve = resolve
        self._found: dict[str, frozenset[str]] = {address: frozenset() for address in addresses}

    async def look(self) -> set[str]:
        """Endpoints of all addresses, as `ip:port`."""
        names = list(self._found)
        for name, found in zip(names, await asyncio.gather(*map(self._ask, names)), strict=True):
            if found:
                self._found[name] = found
        return set().union(*self._found.values())

    def name_of(self, endpoint: str) -> str:
        """The address by which an endpoint was found; itself where none leads there now."""
        return next((name for name, found in self._found.items() if endpoint in found), endpoint)

    async def _ask(self, address: str) -> frozenset[str]:
        host, _, port = address.rpartition(":")
        try:
            return frozenset(await self._resolve(host.strip("[]"), int(port)))
        except OSError as error:
            logger.debug("name_unresolved", name=address, reason=str(error))
            return frozenset()
