"""Which servers hold the keys now: what Sentinels or the nodes of a cluster say of it.

A cluster divides its keys into 16,384 slots by their names; a master that Sentinels watch has all of them.
"""

from __future__ import annotations

import asyncio
import random
from binascii import crc_hqx
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from hiredis import ReplyError

from trireme_gateway.cache.redis_address import Endpoint, Form
from trireme_gateway.cache.redis_client import RedisAccess
from trireme_gateway.cache.redis_connection import REDIS_ERRORS, RedisConnection

SLOTS = 1 << 14
_LOOK_SECONDS = 0.5
"""Time that a Sentinel or a node has to answer; nobody waits for it."""


class Shard(NamedTuple):
    """Slots `first` to `last` are at `endpoint`."""

    endpoint: Endpoint
    first: int = 0
    last: int = SLOTS - 1


class Topology(Protocol):
    """How the servers are found."""

    async def look(self) -> list[Shard]:
        """Raises one of REDIS_ERRORS where nobody knows."""
        ...


def topology_of(access: RedisAccess) -> Topology:
    """For an address of the form SENTINEL or CLUSTER."""
    return ClusterTopology(access) if access.address.form is Form.CLUSTER else SentinelTopology(access)


class SentinelTopology:
    """The master that most Sentinels name: one that was cut off from the others may name the old one."""

    def __init__(self, access: RedisAccess) -> None:
        self._access = access

    async def look(self) -> list[Shard]:
        sentinels = self._access.address.endpoints
        votes: Counter[Endpoint] = Counter()
        failure: BaseException | None = None
        asked = [asyncio.create_task(self._ask(sentinel)) for sentinel in sentinels]
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    votes[await answer] += 1
                except REDIS_ERRORS as error:
                    failure = error
                if votes and votes.most_common(1)[0][1] * 2 > len(sentinels):
                    break
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if not votes:
            raise failure or ConnectionError("no Sentinel answered")
        return [Shard(votes.most_common(1)[0][0])]

    async def _ask(self, sentinel: Endpoint) -> Endpoint:
        service = self._access.address.service
        connection = self._access.connect_sentinel(sentinel)
        found = await _ask_once(connection, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", service)
        if not found:
            raise ConnectionError(f"the Sentinel knows no master '{service}'")
        return Endpoint(_text(found[0]), int(found[1]))


class ClusterTopology:
    """The slots as one node sees them, any that answers; a wrong view is put right by its redirections."""

    def __init__(self, access: RedisAccess) -> None:
        self._access = access
        self._known: list[Endpoint] = []

    async def look(self) -> list[Shard]:
        seeds = self._access.address.endpoints
        known = random.sample(self._known, len(self._known))
        failure: Exception = ConnectionError("no node answered")
        for node in dict.fromkeys((*known, *seeds)):
            try:
                shards = await self._ask(node)
            except REDIS_ERRORS as error:
                failure = error
                continue
            self._known = list({shard.endpoint for shard in shards})
            return shards
        raise failure

    async def _ask(self, node: Endpoint) -> list[Shard]:
        shards = _shards(await _ask_once(self._access.connect(node), "CLUSTER", "SLOTS"), node)
        if not shards:
            raise ConnectionError("the node knows no slots")
        return shards


async def _ask_once(connection: RedisConnection, *words: str) -> Any:
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            (reply,) = await connection.ask([words])
    finally:
        connection.close()
    if isinstance(reply, ReplyError):
        raise reply
    return reply


def _shards(reply: Any, asked: Endpoint) -> list[Shard]:
    """Of CLUSTER SLOTS: [first, last, master, replica, ...] with nodes as [host, port, ...]. A node that does
    not know its own address is at the one at which it was asked."""
    try:
        return [
            Shard(Endpoint(_text(master[0]) or asked.host, int(master[1])), int(first), int(last))
            for first, last, master, *_ in reply
        ]
    except (TypeError, ValueError, IndexError) as error:
        raise ConnectionError("the node's slots cannot be read") from error


def _text(value: bytes | str | None) -> str:
    found = value.decode() if isinstance(value, bytes) else value or ""
    return "" if found == "?" else found


def find_endpoint(shards: Sequence[Shard], name: bytes) -> Endpoint | None:
    """Who has the key of that name."""
    slot = slot_of(name)
    return next((shard.endpoint for shard in shards if shard.first <= slot <= shard.last), None)


def slot_of(name: bytes) -> int:
    """As the cluster's specification has it, of a name without braces: CRC-16/XMODEM."""
    return crc_hqx(name, 0) % SLOTS


def slot_table(shards: Sequence[Shard]) -> list[Endpoint | None]:
    """The endpoint of every slot."""
    table: list[Endpoint | None] = [None] * SLOTS
    for endpoint, first, last in shards:
        first, last = max(first, 0), min(last, SLOTS - 1)
        table[first : last + 1] = [endpoint] * (last + 1 - first)
    return table
