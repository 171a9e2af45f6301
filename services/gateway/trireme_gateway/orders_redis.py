"""Orders in Redis, for the day on which every process of the platform starts afresh on empty disks.

Nothing depends on it: a Redis that is away, empty or full of something else is passed over. What it holds
is sealed with the cache's secret, because an order takes models out of service.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Iterable

import structlog

from trireme_common.orders import Ledger, Order, dump_orders, parse_orders
from trireme_gateway.cache.entry import Sealer
from trireme_gateway.cache.events import CacheCounts
from trireme_gateway.cache.open_redis import KeyClient
from trireme_gateway.cache.redis_connection import REDIS_ERRORS
from trireme_gateway.orders import OrderDesk

logger = structlog.get_logger(__name__)

_TTL_SECONDS = 10 * 365 * 86_400.0
_EVERY_SECONDS = 2.0


class RedisOrders:
    """One value, which gateways with the same secret share."""

    def __init__(self, client: KeyClient, secret: bytes) -> None:
        """Raises ValueError for a secret shorter than 16 bytes."""
        self._client = client
        self._sealer = Sealer(secret, CacheCounts())
        self._key = b"trireme:1:orders:" + hashlib.blake2b(secret, digest_size=8).hexdigest().encode()

    async def exchange(self, orders: Iterable[Order]) -> list[Order]:
        """Writes what Redis lacks of `orders`; returns what it held. Raises one of REDIS_ERRORS.

        Two gateways that write at once overtake each other; the next exchange brings back what was lost.
        """
        held = self._open(await self._client.get(self._key))
        ledger = Ledger(held)
        if ledger.merge(orders):
            sealed = self._sealer.seal(self._key, dump_orders(ledger), _TTL_SECONDS)
            await self._client.set(self._key, sealed)
        return held

    def _open(self, data: bytes | None) -> list[Order]:
        opened = None if data is None else self._sealer.unseal(self._key, data)
        try:
            return [] if opened is None else parse_orders(opened.value)
        except ValueError:
            return []


class OrderKeeper:
    """Keeps a desk and Redis in step. `refresh` is called when something new came from there."""

    def __init__(self, orders: RedisOrders, desk: OrderDesk, refresh: Callable[[], None]) -> None:
        self._orders = orders
        self._desk = desk
        self._refresh = refresh
        self._away = False

    async def exchange(self) -> None:
        """Once. Never raises for what Redis does."""
        try:
            held = await self._orders.exchange(tuple(self._desk.ledger))
        except REDIS_ERRORS as error:
            if not self._away:
                logger.warning("orders_not_in_redis", kind=type(error).__name__)
            self._away = True
            return
        self._away = False
        if any(self._desk.ledger.lacks(order) for order in held):
            self._desk.learn(held)
            self._refresh()

    async def run(self) -> None:
        """Again and again, until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS * random.uniform(0.8, 1.2))
            try:
                await self.exchange()
            except Exception:  # must not end for good
                logger.exception("order_exchange_failed")
