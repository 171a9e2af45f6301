"""From a URL to what speaks to it, in whichever form the servers stand."""

from __future__ import annotations

import asyncio
from typing import Any

from hiredis import ReplyError

from trireme_gateway.cache.events import CacheEvents
from trireme_gateway.cache.ports import CacheStore
from trireme_gateway.cache.redis_address import Endpoint, Form
from trireme_gateway.cache.redis_client import RedisAccess, RedisLimits
from trireme_gateway.cache.redis_connection import Command
from trireme_gateway.cache.redis_store import RedisStore
from trireme_gateway.cache.routed_store import RoutedStore
from trireme_gateway.cache.topology import find_endpoint, topology_of

_KEY_SECONDS = 1.0


def open_store(access: RedisAccess, events: CacheEvents, limits: RedisLimits | None = None) -> CacheStore:
    """Store of results. Inside a running event loop."""
    form = access.address.form
    if form is Form.SERVER:
        return RedisStore(access, access.address.endpoints[0], events, limits=limits)
    return RoutedStore(
        topology_of(access),
        lambda endpoint, doubt: RedisStore(
            access, endpoint, events, limits=limits, clustered=form is Form.CLUSTER, doubt=doubt
        ),
        events,
    )


class KeyClient:
    """Seldom reads and writes of single keys, which nobody waits for: it keeps no connection.

    Raises one of REDIS_ERRORS where there is no answer within a second.
    """

    def __init__(self, access: RedisAccess) -> None:
        self._access = access

    async def get(self, name: bytes) -> bytes | None:
        found = await self._ask(name, ("GET", name))
        return found if isinstance(found, bytes) else None

    async def set(self, name: bytes, value: bytes) -> None:
        await self._ask(name, ("SET", name, value))

    async def _ask(self, name: bytes, command: Command) -> Any:
        async with asyncio.timeout(_KEY_SECONDS):
            connection = self._access.connect(await self._find(name))
            try:
                (reply,) = await connection.ask([command])
            finally:
                connection.close()
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def _find(self, name: bytes) -> Endpoint:
        address = self._access.address
        if address.form is Form.SERVER:
            return address.endpoints[0]
        endpoint = find_endpoint(await topology_of(self._access).look(), name)
        if endpoint is None:
            raise ConnectionError("no server of the cluster has the key's slot")
        return endpoint
