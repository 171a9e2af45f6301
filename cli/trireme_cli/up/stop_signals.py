"""SIGINT, SIGTERM and SIGHUP as events: the first asks to stop, a later one to hurry."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

_SAME_REQUEST_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """`stop` is set by the first signal, `hurry` by one that comes clearly later.

    One Ctrl-C can arrive twice, from the terminal and from a program around us that passes it on.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self._clock = clock
        self._first_at = 0.0

    def install(self) -> None:
        """Takes the signals of this process; from the event loop's thread only."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            # `nohup trireme up &` ignores the hang-up, and means it.
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self.receive)

    def receive(self) -> None:
        if not self.stop.is_set():
            self._first_at = self._clock()
            self.stop.set()
        elif self._clock() - self._first_at > _SAME_REQUEST_SECONDS:
            self.hurry.set()
