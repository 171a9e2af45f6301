"""Whether the peer of a connection is still there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

_LATE_SECONDS = 0.1


class Patience(NamedTuple):
    """After `idle_seconds` without a word the peer is pinged; where it says nothing for another
    `answer_seconds`, it is given up."""

    idle_seconds: float
    answer_seconds: float


class Keepalive:
    """Pings a silent peer. `ping` sends a ping, `give_up` is called once where it was in vain."""

    def __init__(self, patience: Patience, ping: Callable[[], None], give_up: Callable[[], None]) -> None:
        self._patience = patience
        self._ping = ping
        self._give_up = give_up
        self._heard = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._heard = time.monotonic()
        self._wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def heard(self) -> None:
        """The peer said something."""
        self._heard = time.monotonic()

    def _wait(self) -> None:
        """Sleeps until the peer would have been silent for too long; a word costs no timer."""
        delay = self._heard + self._patience.idle_seconds - time.monotonic()
        if delay > 0:
            self._timer = asyncio.get_running_loop().call_later(delay, self._wait)
        else:
            self._ping()
            self._await_answer(self._heard)

    def _await_answer(self, heard: float) -> None:
        seconds = self._patience.answer_seconds
        due = time.monotonic() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, self._judge, due, heard)

    def _judge(self, due: float, heard: float) -> None:
        if self._heard > heard:
            self._wait()
        elif time.monotonic() - due > _LATE_SECONDS:
            # This process itself was slow or stopped: what the peer said may still have to be read.
            self._await_answer(heard)
        else:
            self._give_up()
