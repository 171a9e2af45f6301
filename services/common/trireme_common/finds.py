"""The model repository as it was seen last, and which of its files have come to rest."""

from __future__ import annotations

import asyncio
from pathlib import Path

from trireme_common.repository import SpecReader, VersionFiles, scan

Signed = set[tuple[str, int, str]]
"""Model, version and signature of what stands in the repository."""


class Finds:
    """Looks one after the other, whoever asks for them."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._specs = SpecReader()
        self._looking = asyncio.Lock()
        self._before: Signed = set()
        self.models: dict[str, list[VersionFiles]] = {}
        self.broken: tuple[tuple[str, str], ...] = ()
        """Model name and reason, for models that cannot be read as a whole."""

    async def look(self) -> Signed:
        """Reads the repository. Raises SpecError and OSError where it cannot be."""
        async with self._looking:
            found = await asyncio.to_thread(scan, self._models_dir, self._specs)
            self.models = {}
            for files in found.versions:
                self.models.setdefault(files.spec.name, []).append(files)
            self.broken = found.broken
        return set(map(signed, found.versions))

    async def look_again(self) -> tuple[Signed, Signed]:
        """All that stands there, and what of it stood there at the last such look too: what is still being
        copied changes."""
        now = await self.look()
        same = now & self._before
        self._before = now
        return now, same


def signed(files: VersionFiles) -> tuple[str, int, str]:
    return files.spec.name, files.version, files.signature
