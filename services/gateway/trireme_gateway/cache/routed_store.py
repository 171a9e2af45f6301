"""The shared store in several Redis servers: each key at the one that has it, each server on its own.

Every server has its own queues, time-outs and breaker: one that is down or slow costs its own keys, the
others' go on hitting. Keys whose server is not known, or has just changed, are misses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from trireme_gateway.cache.events import CacheEvents, Fault
from trireme_gateway.cache.ports import CacheStore, Claim, StoreEntry, Watch
from trireme_gateway.cache.redis_address import Endpoint
from trireme_gateway.cache.redis_store import value_name
from trireme_gateway.cache.routes import Routes
from trireme_gateway.cache.topology import Topology

A = TypeVar("A")

Open = Callable[[Endpoint, Callable[[], None]], CacheStore]


class RoutedStore:
    """CacheStore over the servers of a topology. Made inside a running event loop."""

    def __init__(self, topology: Topology, open_store: Open, events: CacheEvents) -> None:
        """`open_store` makes the store of one server; it is given what to call when the topology may have
        changed."""
        self._open_store = open_store
        self._events = events
        self._stores: dict[Endpoint, CacheStore] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._routes = Routes(topology, self._change)

    async def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return await self._ask(keys, lambda store, part: store.get_many(part), None)

    async def claim_many(self, keys: Sequence[bytes], seconds: float) -> list[Claim]:
        return await self._ask(keys, lambda store, part: store.claim_many(part, seconds), Claim(won=True))

    async def watch_many(self, keys: Sequence[bytes]) -> list[Watch]:
        return await self._ask(keys, lambda store, part: store.watch_many(part), Watch(held=False))

    def put_many(self, entries: Sequence[StoreEntry]) -> None:
        parts: dict[CacheStore, list[StoreEntry]] = {}
        for entry in entries:
            store = self._store_of(entry.key)
            if store is None:
                self._events.on_error(Fault.UNROUTED, 1)
            else:
                parts.setdefault(store, []).append(entry)
        for store, part in parts.items():
            store.put_many(part)

    def release_many(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            store = self._store_of(key)
            if store is not None:
                store.release_many([key])

    async def close(self) -> None:
        await self._routes.close()
        stores, self._stores = self._stores, {}
        await asyncio.gather(*self._closing, *(store.close() for store in stores.values()))

    async def _ask(
        self,
        keys: Sequence[bytes],
        ask: Callable[[CacheStore, Sequence[bytes]], Awaitable[Sequence[A]]],
        otherwise: A,
    ) -> list[A]:
        """Answers in the order of `keys`, `otherwise` for those whose server is not known."""
        answers: list[A] = [otherwise] * len(keys)
        parts: dict[CacheStore, list[int]] = {}
        for at, key in enumerate(keys):
            store = self._store_of(key)
            if store is None:
                self._events.on_error(Fault.UNROUTED, 1)
            else:
                parts.setdefault(store, []).append(at)
        asked = [ask(store, [keys[at] for at in part]) for store, part in parts.items()]
        found = [await asked[0]] if len(asked) == 1 else await asyncio.gather(*asked)
        for part, values in zip(parts.values(), found, strict=True):
            for at, value in zip(part, values, strict=True):
                answers[at] = value
        return answers

    def _store_of(self, key: bytes) -> CacheStore | None:
        endpoint = self._routes.find(value_name(key))
        return None if endpoint is None else self._stores.get(endpoint)

    def _change(self, endpoints: frozenset[Endpoint]) -> None:
        for gone in self._stores.keys() - endpoints:
            task = asyncio.create_task(self._stores.pop(gone).close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for new in endpoints - self._stores.keys():
            self._stores[new] = self._open_store(new, self._routes.doubt)
