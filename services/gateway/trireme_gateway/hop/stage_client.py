"""All endpoints of one stage: which there are, and which one takes the next call."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.stage_state import StageState
from trireme_common.stage_stream import cancel_and_wait
from trireme_gateway.hop.pending import Key, Pending
from trireme_gateway.hop.ports import HopAnswer
from trireme_gateway.hop.stream import EndpointStream, StreamBrokenError

logger = structlog.get_logger(__name__)

_ATTEMPTS = 2


class StageClient:
    """Sends calls to the endpoint with the least outstanding work among those that have the version.

    Each address is `host:port`; a host name is asked again every `resolve_seconds`, and every
    address it resolves to is an endpoint of its own.
    """

    def __init__(
        self,
        stage: str,
        method: str,
        addresses: Sequence[str],
        *,
        pending: Callable[[], Pending],
        resolve_seconds: float,
        on_change: Callable[[], None],
    ) -> None:
        self.stage = stage
        self._method = method
        self._addresses = tuple(addresses)
        self._pending = pending
        self._resolve_seconds = resolve_seconds
        self._on_change = on_change
        self._endpoints: dict[str, tuple[EndpointStream, asyncio.Task[None]]] = {}
        self._leaving: set[str] = set()
        self._resolver: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._resolver = asyncio.create_task(self._resolve_forever())

    async def close(self) -> None:
        """Closes every stream; calls under way fail as BACKEND_UNAVAILABLE."""
        if self._resolver is not None:
            await cancel_and_wait(self._resolver)
        for _, task in self._endpoints.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self._endpoints.values()), return_exceptions=True)
        self._endpoints.clear()

    def states(self) -> list[StageState]:
        """What each connected endpoint that is not leaving says of itself."""
        return [
            stream.state
            for stream, _ in self._endpoints.values()
            if stream.state is not None and stream.usable
        ]

    @property
    def endpoints(self) -> int:
        """Endpoints known, connected or not."""
        return len(self._endpoints)

    async def call(
        self, model: str, version: str, payloads: Sequence[bytes], deadline: float, request_id: str
    ) -> HopAnswer:
        """As `Hop.call`. Items have no side effects, so a call whose stream broke goes to another endpoint.

        Raises TriremeError(DEADLINE_EXCEEDED) where an endpoint stays silent past the deadline.
        """
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await self._call((model, version), payloads, deadline, request_id)
        except TimeoutError:
            raise TriremeError(
                Code.DEADLINE_EXCEEDED, f"the request's time was up before {self.stage} answered"
            ) from None

    async def _call(self, key: Key, payloads: Sequence[bytes], deadline: float, request_id: str) -> HopAnswer:
        if not payloads:
            return HopAnswer([])
        tried: set[str] = set()
        while True:
            endpoint = self._pick(key, tried)
            tried.add(endpoint.address)
            try:
                return await endpoint.call(key, list(payloads), deadline, request_id)
            except StreamBrokenError:
                if len(tried) == _ATTEMPTS:
                    raise

    def _pick(self, key: Key, tried: set[str]) -> EndpointStream:
        candidates = [
            stream
            for stream, _ in self._endpoints.values()
            if stream.address not in tried and stream.address not in self._leaving and stream.serves(key)
        ]
        if not candidates:
            raise TriremeError(Code.BACKEND_UNAVAILABLE, f"no {self.stage} endpoint can take the request now")
        return min(candidates, key=lambda stream: stream.outstanding)

    async def _resolve_forever(self) -> None:
        while True:
            found, complete = await self._resolve()
            # Where a name could not be asked, its endpoints stay.
            self._adopt(found if complete else found | self._endpoints.keys())
            await asyncio.sleep(self._resolve_seconds)

    async def _resolve(self) -> tuple[set[str], bool]:
        """Addresses of all endpoints, and whether every name could be asked."""
        loop = asyncio.get_running_loop()
        found: set[str] = set()
        failed = False
        for address in self._addresses:
            host, _, port = address.rpartition(":")
            try:
                infos = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                failed = True
                continue
            for info in infos:
                ip = str(info[4][0])
                found.add(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}")
        return found, not failed

    def _adopt(self, addresses: set[str]) -> None:
        for address in sorted(addresses - self._endpoints.keys()):
            stream = EndpointStream(self.stage, address, self._method, self._pending, self._on_change)
            self._endpoints[address] = (stream, asyncio.create_task(stream.run()))
        leaving, self._leaving = self._leaving, self._endpoints.keys() - addresses
        for address in tuple(self._leaving):
            stream, task = self._endpoints[address]
            # A pod that left DNS gets nothing new but may answer what it has; it is dropped once it is idle.
            if not stream.outstanding:
                del self._endpoints[address]
                self._leaving.discard(address)
                task.cancel()
        if leaving != self._leaving or leaving:
            self._on_change()
