"""The state of the extensions in one process, kept in step with the other workers of the gateway."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trireme_gateway.extensions.peers import Peers
from trireme_gateway.extensions.sampling import LocalTickets, Tickets
from trireme_gateway.extensions.state import ExtensionState
from trireme_gateway.extensions.state_file import Change, StateFile, TicketFiles

_RING_SECONDS = 1.0


class StateStore:
    """Holds the state; whoever listens is told of every change, whichever worker made it."""

    def __init__(
        self, started: ExtensionState | None = None, directory: Path | None = None, name: str = ""
    ) -> None:
        """`started`: as the gateway was started. `directory` is what its workers share, in which this one
        is called `name`, its process id where that is empty; None where it is one process."""
        self.state = started or ExtensionState()
        self.tickets: Tickets = LocalTickets()
        self._listeners: list[Callable[[ExtensionState], None]] = []
        self._changing = asyncio.Lock()
        self._shared: tuple[StateFile, Peers] | None = None
        if directory is not None:
            self.tickets = self._ticket_files = TicketFiles(directory)
            self._shared = (
                StateFile(directory, self.state),
                Peers(directory, self._reread, name or str(os.getpid())),
            )

    def open(self) -> None:
        """Takes over what other workers have; hears of their changes from now on. Raises OSError."""
        if self._shared is not None:
            self._shared[1].open()
            self._reread()

    def close(self) -> None:
        if self._shared is not None:
            self._shared[1].close()
            self._ticket_files.close()

    def listen(self, listener: Callable[[ExtensionState], None]) -> None:
        """Calls `listener` now and after every change."""
        self._listeners.append(listener)
        listener(self.state)

    async def change(self, change: Change) -> ExtensionState:
        """Changes the state, here and at the other workers, and returns it.

        `change` is pure or harmless: it may be called in a thread. Raises what it raises.
        """
        async with self._changing:
            if self._shared is None:
                changed = replace(change(self.state), revision=self.state.revision + 1)
                self._take(changed)
                return changed
            file, peers = self._shared
            changed = await asyncio.to_thread(file.update, change)
            self._take(changed)
            await peers.ring(_RING_SECONDS)
            return changed

    def _reread(self) -> None:
        assert self._shared is not None
        self._take(self._shared[0].read())

    def _take(self, state: ExtensionState) -> None:
        if state.revision <= self.state.revision:  # a newer one has overtaken it
            return
        if self._shared is not None:
            self._ticket_files.forget(self.state.trace.tickets - state.trace.tickets)
        self.state = state
        for listener in self._listeners:
            listener(state)
