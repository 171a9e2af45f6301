"""What the result cache costs the gateway: CPU time a key, by level and by how questions come.

`python -m benchmarks.cache_costs` starts a Redis of its own. Answers have 71 bytes, as a classification of
three labels has. The figures are this process' CPU time, so that they hold on a busy machine too.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trireme_cli.up.redis_server import command, find_server, private_directory, socket_path
from trireme_gateway.cache.events import CacheCounts
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.cache.ports import StoreEntry
from trireme_gateway.cache.redis_address import Endpoint, Form, RedisAddress
from trireme_gateway.cache.redis_client import RedisAccess, RedisLimits
from trireme_gateway.cache.redis_store import RedisStore

KEYS = [b"%032d" % number for number in range(100)]
ANSWER = b"x" * 71
_ROUNDS = 30


@contextmanager
def _redis() -> Iterator[Path]:
    with private_directory() as directory:
        server = subprocess.Popen(command(find_server(), directory))
        try:
            while not socket_path(directory).exists():
                time.sleep(0.01)
            yield socket_path(directory)
        finally:
            server.kill()
            server.wait()


async def _cost(ask: Callable[[], Awaitable[object]]) -> float:
    """Microseconds of CPU time a key, of something that is done to all keys."""
    await ask()
    started = time.process_time()
    for _ in range(_ROUNDS):
        await ask()
    return (time.process_time() - started) / _ROUNDS / len(KEYS) * 1e6


async def _measure(socket: Path) -> dict[str, float]:
    endpoint = Endpoint(str(socket), 0)
    access = RedisAccess(RedisAddress(Form.SERVER, (endpoint,)))
    limits = RedisLimits(timeout_seconds=5.0)
    memory = MemoryCache(1 << 20)
    for key in KEYS:
        memory.put(key, ANSWER, 600)
    found: dict[str, float] = {}

    async def remember() -> None:
        for key in KEYS:
            assert memory.get(key) is not None

    found["memory, one key"] = await _cost(remember)
    for name, clustered in (("server", False), ("node of a cluster", True)):
        store = RedisStore(access, endpoint, CacheCounts(), limits=limits, clustered=clustered)
        for way, ask in _ways(store).items():
            found[f"{name}, {way}"] = await _cost(ask)
        await store.close()
    return found


def _ways(store: RedisStore) -> dict[str, Callable[[], Awaitable[object]]]:
    async def write() -> None:
        store.put_many([StoreEntry(key, ANSWER, 600) for key in KEYS])
        await asyncio.sleep(0.02)  # they are written meanwhile

    async def one_by_one() -> None:
        for key in KEYS:
            assert await store.get_many([key]) == [ANSWER]

    async def at_once() -> None:
        await asyncio.gather(*(store.get_many([key]) for key in KEYS))

    async def together() -> None:
        assert await store.get_many(KEYS) == [ANSWER] * len(KEYS)

    return {
        "100 answers written": write,
        "100 requests of one key, one after the other": one_by_one,
        "100 requests of one key at the same moment": at_once,
        "one request of 100 keys": together,
    }


def main() -> None:
    with _redis() as socket:
        for name, cost in asyncio.run(_measure(socket)).items():
            print(f"{cost:8.2f} us of CPU a key   {name}")


if __name__ == "__main__":
    main()
