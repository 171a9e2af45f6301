"""Questions to model `times` at a fixed rate, each answer held against the version that it names."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

MOST_AT_ONCE = 64
_NUMBERS = itertools.count(1)


@dataclass
class OpenLoad:
    """What became of the questions. `factors` says by what each version multiplies, or may just now."""

    factors: dict[str, set[float]]
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    newest: dict[str, float] = field(default_factory=dict)
    """By what each version multiplied last."""

    def check(self, number: int, answer: httpx.Response) -> None:
        if answer.status_code != 200:
            self.failures.append(f"{answer.status_code} {answer.text[:200]}")
            return
        body = answer.json()
        self.versions[body["version"]] += 1
        factor = body["result"][0] / number
        self.newest[body["version"]] = factor
        if factor not in self.factors.get(body["version"], ()):
            self.failures.append(f"wrong answer to {number}: {body}")

    async def until_answers(self, version: str, count: int = 5, seconds: float = 60) -> None:
        """Waits until a version has answered `count` times from now on."""
        wanted = self.versions[version] + count
        async with asyncio.timeout(seconds):
            while self.versions[version] < wanted:
                await asyncio.sleep(0.01)

    async def until_factor(self, version: str, factor: float, seconds: float = 60) -> None:
        """Waits until a version multiplies by `factor`."""
        async with asyncio.timeout(seconds):
            while self.newest.get(version) != factor:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def open_load(url: str, factors: dict[str, set[float]], rate: float = 200.0) -> AsyncIterator[OpenLoad]:
    """Asks `rate` times a second, every number once, so that nothing is cached. No more than 64 questions are
    open at once, so that a slow machine asks later rather than ever more."""
    load = OpenLoad(factors)
    stop = asyncio.Event()
    room = asyncio.Semaphore(MOST_AT_ONCE)

    async def ask(client: httpx.AsyncClient) -> None:
        number = next(_NUMBERS) % 1_000_000  # fp32 holds it exactly, whatever it is multiplied by here
        try:
            load.check(number, await client.post("/predict", json={"data": [number, 0, 0, 0]}))
        except httpx.HTTPError as error:
            load.failures.append(repr(error))
        finally:
            room.release()

    async def arrive(client: httpx.AsyncClient, group: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not stop.is_set():
            await room.acquire()
            group.create_task(ask(client))
            due = max(due + 1 / rate, loop.time() - 0.1)
            await asyncio.sleep(due - loop.time())

    limits = httpx.Limits(max_connections=MOST_AT_ONCE, max_keepalive_connections=MOST_AT_ONCE)
    async with (
        httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(arrive(client, group))
        try:
            yield load
        finally:
            stop.set()
