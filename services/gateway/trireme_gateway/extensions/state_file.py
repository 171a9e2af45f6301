"""What the workers of one gateway share, in a directory that is theirs alone."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from trireme_gateway.extensions.state import ExtensionState, dump_state, load_state

_TICKETS = ".tickets"

Change = Callable[[ExtensionState], ExtensionState]


class StateFile:
    """The state of the extensions as a file; it is replaced, never written over, so that readers need no
    lock. Writers take turns."""

    def __init__(self, directory: Path, started: ExtensionState) -> None:
        """`started` is the state of a gateway in which nobody has changed anything yet."""
        self._path = directory / "extensions.json"
        self._lock_path = directory / "extensions.lock"
        self._started = started

    def read(self) -> ExtensionState:
        """Raises OSError."""
        try:
            return load_state(self._path.read_bytes(), self._started)
        except FileNotFoundError:
            return self._started

    def update(self, change: Change) -> ExtensionState:
        """Changes what the file holds and returns it. Raises what `change` raises, and OSError. May wait
        for other workers that change it, so call it in a thread."""
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            held = self.read()
            changed = replace(change(held), revision=held.revision + 1)
            fresh = self._path.with_suffix(".fresh")
            fresh.write_bytes(dump_state(changed))
            fresh.replace(self._path)
        finally:
            os.close(lock)
        return changed


class TicketFiles:
    """`Tickets` that several processes take: a file for each name, to which each ticket appends a byte.

    The kernel lets one append after the other, and tells each where its own ended.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[str, int] = {}

    def take(self, name: str) -> int:
        """One more; returns how many were taken, this one included, and too many where the directory
        cannot be written."""
        try:
            descriptor = self._open.get(name)
            if descriptor is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                descriptor = self._open[name] = os.open(self._path(name), flags, 0o600)
            os.write(descriptor, b"\0")
            return os.lseek(descriptor, 0, os.SEEK_CUR)
        except OSError:
            return sys.maxsize

    def taken(self, name: str) -> int:
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            return 0

    def forget(self, names: Iterable[str]) -> None:
        """Nobody asks for these any more."""
        for name in names:
            if name in self._open:
                os.close(self._open.pop(name))
            self._path(name).unlink(missing_ok=True)

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}{_TICKETS}"
