"""Regular looks at the repository, and models that are to be looked after at once, beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog

from trireme_common.errors import SpecError

logger = structlog.get_logger(__name__)


class Errands:
    """Collects names until they are fetched."""

    def __init__(self) -> None:
        self._due: set[str] = set()
        self._called = asyncio.Event()

    def call(self, names: Iterable[str]) -> None:
        """These are due."""
        self._due.update(names)
        if self._due:
            self._called.set()

    async def fetch(self) -> set[str]:
        """Those that are due, as soon as any is."""
        await self._called.wait()
        self._called.clear()
        due, self._due = self._due, set()
        return due

    async def watch(
        self,
        poll_seconds: float,
        poll: Callable[[], Awaitable[None]],
        carry_out: Callable[[set[str]], Awaitable[None]],
    ) -> None:
        """Polls, and carries out what is due at once, until cancelled. None waits for another."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_regularly(poll, poll_seconds))
            while True:
                group.create_task(told(carry_out(await self.fetch())))


async def _regularly(poll: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        await told(poll())
        await asyncio.sleep(seconds)


async def told(work: Awaitable[None]) -> None:
    """Logs what goes wrong: a watch that ended would never show another version."""
    try:
        await work
    except (SpecError, OSError) as error:
        # The directory may be remounted or replaced; what is loaded goes on serving.
        logger.error("repository_unreadable", reason=str(error))
    except Exception:
        logger.exception("repository_watch_failed")
