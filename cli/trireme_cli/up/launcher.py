"""Starts a program as a process that cannot outlive us, and takes what it leaves behind with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from trireme_cli.up import orphan_guard
from trireme_cli.up.processes import Program

_STANDARD_ERROR = 2


class RunningProcess(Protocol):
    """A process as the supervisor sees it."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> int:
        """Exit code, or minus the number of the signal that ended it."""

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; nothing happens if the process is gone."""


Launch = Callable[[Program], Awaitable[RunningProcess]]


class ChildProcess:
    """A child in a session of its own, so that a terminal's Ctrl-C reaches us alone."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        code = await self._process.wait()
        # Workers of a service that was killed are in its process group and have no one else.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return code

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


async def launch(program: Program) -> RunningProcess:
    """Starts `program`; what it writes goes to our standard error, which leaves ours out clean."""
    guard = (sys.executable, "-I", "-S", str(Path(orphan_guard.__file__)), str(os.getpid()))
    process = await asyncio.create_subprocess_exec(
        *guard,
        *program.command,
        env=dict(program.environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=_STANDARD_ERROR,
        start_new_session=True,
    )
    return ChildProcess(process)
