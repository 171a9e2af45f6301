"""Versions that are READY and not in memory, loaded when somebody asks: once for all who do."""

from __future__ import annotations

import asyncio
from typing import Generic, Protocol

from trireme_common.entries import Entries, Entry
from trireme_common.errors import Code, TriremeError
from trireme_common.memory import NoRoomError
from trireme_common.shelf import Key, Shelf, T


class Woke(Protocol[T]):
    """Told how an attempt ended."""

    def __call__(self, entry: Entry[T], *, failed: bool) -> None: ...


class Waking(Generic[T]):
    """Attempts under way, by version."""

    def __init__(self, entries: Entries[T], shelf: Shelf[T], woke: Woke[T]) -> None:
        self._entries = entries
        self._shelf = shelf
        self._woke = woke
        self._attempts: dict[Key, asyncio.Task[TriremeError | None]] = {}

    async def wait(self, entry: Entry[T]) -> None:
        """Waits for the version to be loaded; whoever leaves meanwhile does not stop it for the others.

        Raises TriremeError(MODEL_NOT_READY) where it cannot be.
        """
        error = await asyncio.shield(self.attempt(entry))
        if error is not None:
            raise error.afresh()

    def attempt(self, entry: Entry[T]) -> asyncio.Task[TriremeError | None]:
        """The one attempt for the version; its result is why it failed."""
        attempt = self._attempts.get(entry.key)
        if attempt is None:
            attempt = self._attempts[entry.key] = asyncio.create_task(self._load(entry))
            attempt.add_done_callback(lambda _: self._attempts.pop(entry.key, None))
        return attempt

    def stop(self) -> None:
        for attempt in tuple(self._attempts.values()):
            attempt.cancel()

    async def _load(self, entry: Entry[T]) -> TriremeError | None:
        name, version = entry.key
        if entry.crowded is not None and not self._shelf.may_fit(entry.crowded):
            return _no_room(entry)
        try:
            servable = await self._shelf.load(entry.key, entry.files)
        except NoRoomError as error:  # another time there may be room
            self._entries.crowded_out(entry, error)
            self._woke(entry, failed=False)
            return _no_room(entry)
        except Exception as error:  # a foreign file can make a library raise anything
            if self._entries.get(entry.key) is entry:
                self._entries.failed(entry.files, error)
                self._woke(entry, failed=True)
            return TriremeError(Code.MODEL_NOT_READY, f"model '{name}', version {version}, cannot be loaded")
        if self._entries.woken(entry, servable):
            self._woke(entry, failed=False)
        else:  # its files have changed, or it is gone
            await self._shelf.close(servable)
        return None


def _no_room(entry: Entry[T]) -> TriremeError:
    name, version = entry.key
    return TriremeError(Code.MODEL_NOT_READY, f"model '{name}', version {version}: {entry.reason}")
