"""Which server a key is at, kept up to date in the background."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress

import structlog

from trireme_gateway.cache.redis_address import Endpoint
from trireme_gateway.cache.redis_connection import REDIS_ERRORS
from trireme_gateway.cache.topology import Topology, slot_of, slot_table

logger = structlog.get_logger(__name__)

_EVERY_SECONDS = 10.0
_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0


class Routes:
    """Looks at the topology at once, then now and then, and soon after a `doubt`. Made inside a running
    event loop."""

    def __init__(self, topology: Topology, changed: Callable[[frozenset[Endpoint]], None]) -> None:
        """`changed` is told the endpoints that hold keys, whenever others do."""
        self._topology = topology
        self._changed = changed
        self._table: list[Endpoint | None] = []
        self._endpoints: frozenset[Endpoint] = frozenset()
        self._known = True
        self._doubt = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def find(self, name: bytes) -> Endpoint | None:
        """The endpoint that holds the key of that name, None while it is not known."""
        if len(self._endpoints) == 1:
            (endpoint,) = self._endpoints
            return endpoint
        return self._table[slot_of(name)] if self._table else None

    def doubt(self) -> None:
        """Something did not fit."""
        self._doubt.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = _PAUSE_SECONDS
        while True:
            self._doubt.clear()
            known = await self._look()
            # Doubts that come while a failover takes its time are looked into at ever longer intervals.
            pause = _PAUSE_SECONDS if known else min(2 * pause, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))
            if known:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._doubt.wait(), _EVERY_SECONDS * random.uniform(0.8, 1.2))

    async def _look(self) -> bool:
        try:
            shards = await self._topology.look()
        except REDIS_ERRORS as error:
            if self._known:
                logger.warning("redis_topology_unknown", error=type(error).__name__)
            self._known = False
            return False
        self._known = True
        self._table = slot_table(shards)
        endpoints = frozenset(shard.endpoint for shard in shards)
        if endpoints != self._endpoints:
            self._endpoints = endpoints
            logger.info("redis_topology", nodes=[f"{host}:{port}" for host, port in sorted(endpoints)])
            self._changed(endpoints)
        return True
