"""Asks the other gateways for their part, each within a short time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from trireme_gateway.hop.discovery import system_resolve
from trireme_gateway.hop.ports import Resolve
from trireme_gateway.scaling.report import MAX_REPORT_BYTES, Report, decode_report

PATH = "/scaling/own"
_SECONDS = 1.0

logger = structlog.get_logger(__name__)


def parse_peers(addresses: str) -> list[str]:
    """`host:port` addresses with commas between. Raises ValueError."""
    peers = [part.strip() for part in addresses.split(",") if part.strip()]
    for peer in peers:
        if not peer.rpartition(":")[0] or not peer.rpartition(":")[2].isdigit():
            raise ValueError(f"'{peer}' is not host:port")
    return peers


class Peers:
    """Gateways at `addresses`; a name may resolve to many."""

    def __init__(
        self, addresses: Sequence[str], resolve: Resolve = system_resolve, seconds: float = _SECONDS
    ) -> None:
        self._addresses = addresses
        self._resolve = resolve
        self._seconds = seconds

    async def ask(self) -> tuple[list[Report], int]:
        """The reports of those that answered, and how many addresses and names gave none."""
        found = await asyncio.gather(*map(self._find, self._addresses))
        places = sorted(set().union(*(places for places in found if places is not None)))
        reports = await asyncio.gather(*map(self._report, places))
        good = [report for report in reports if report is not None]
        return good, found.count(None) + len(reports) - len(good)

    async def _find(self, address: str) -> set[str] | None:
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(self._seconds):
                return set(await self._resolve(host.strip("[]"), int(port)))
        except (OSError, TimeoutError) as error:
            logger.warning("peer_unresolved", address=address, reason=str(error) or "time-out")
            return None

    async def _report(self, place: str) -> Report | None:
        try:
            async with asyncio.timeout(self._seconds):
                return decode_report(await _get(place))
        except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError) as error:
            logger.warning("peer_silent", address=place, reason=str(error) or "time-out")
            return None


async def _get(place: str) -> bytes:
    """The body of one answer over HTTP/1.0. Raises OSError, ValueError."""
    host, _, port = place.rpartition(":")
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port), limit=MAX_REPORT_BYTES)
    try:
        writer.write(f"GET {PATH} HTTP/1.0\r\nHost: {place}\r\n\r\n".encode())
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        if head.split(maxsplit=2)[1:2] != [b"200"]:
            raise ValueError("the answer is not 200")
        body = b""
        while len(body) <= MAX_REPORT_BYTES and (chunk := await reader.read(MAX_REPORT_BYTES)):
            body += chunk
        return body
    finally:
        writer.close()
