"""Models that are to be looked after at once, beside the regular looks at the repository."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


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
