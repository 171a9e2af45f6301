"""Keeps programs running until they are asked to stop, and stops them in order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence

from trireme_cli.up.backoff import Backoff
from trireme_cli.up.events import Died, Event, Killed, Refused, Restarted
from trireme_cli.up.launcher import Launch, RunningProcess
from trireme_cli.up.processes import Program

EXIT_USAGE = 2
GRACE_SECONDS = 30.0
_AFTER_KILL_SECONDS = 5.0


class Keeper:
    """One program and its process of the moment."""

    def __init__(
        self,
        program: Program,
        launch: Launch,
        tell: Callable[[Event], None],
        backoff: Backoff,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.program = program
        self._launch = launch
        self._tell = tell
        self._backoff = backoff
        self._clock = clock
        self._sleep = sleep
        self._process: RunningProcess | None = None
        self._restarts = 0
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def run(self) -> Refused | None:
        """Starts the program again and again; returns when it is stopped, or refuses to start."""
        while not self._stopping.is_set():
            began = self._clock()
            code = await self._one_life()
            if self._stopping.is_set():
                break
            if code == EXIT_USAGE and self._restarts == 0:
                return Refused(self.program.name, code)
            delay = self._backoff.delay_after(self._clock() - began)
            self._restarts += 1
            self._tell(Died(self.program.name, code, delay, self._restarts))
            await self._unless_stopped(self._sleep(delay))
        return None

    async def _one_life(self) -> int:
        self._process = await self._launch(self.program)
        try:
            if self._restarts:
                self._tell(Restarted(self.program.name, self._process.pid, self._restarts))
            if self._stopping.is_set():
                self._process.send(signal.SIGTERM)
            return await self._process.wait()
        finally:
            self._process = None

    async def _unless_stopped(self, wait: Awaitable[None]) -> None:
        waits = {asyncio.ensure_future(wait), asyncio.ensure_future(self._stopping.wait())}
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def terminate(self) -> None:
        """Asks the program to end; it is not started again."""
        self._stopping.set()
        if self._process:
            self._process.send(signal.SIGTERM)

    def kill(self) -> bool:
        """Ends the program at once; False if there was nothing to end."""
        if self._process is None:
            return False
        self._process.send(signal.SIGKILL)
        return True


class Supervisor:
    """All programs of the platform."""

    def __init__(
        self,
        programs: Sequence[Program],
        launch: Launch,
        tell: Callable[[Event], None],
        *,
        grace_seconds: float = GRACE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._tell = tell
        self._grace_seconds = grace_seconds
        self._keepers = [Keeper(program, launch, tell, Backoff(), clock, sleep) for program in programs]
        self._tasks: dict[Keeper, asyncio.Task[Refused | None]] = {}

    def start(self) -> None:
        """Starts everything; the services find each other."""
        for keeper in self._keepers:
            self._tasks[keeper] = asyncio.create_task(keeper.run(), name=keeper.program.name)

    @property
    def pids(self) -> dict[str, int]:
        """Process of every program that runs at this moment."""
        return {keeper.program.name: keeper.pid for keeper in self._keepers if keeper.pid is not None}

    async def refused(self) -> Refused:
        """Waits until a program says that it cannot be started at all, and returns which."""
        running = set(self._tasks.values())
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                refusal = task.result()
                if refusal is not None:
                    self._tell(refusal)
                    return refusal
        return await asyncio.Future()

    async def stop(self, hurry: asyncio.Event) -> None:
        """Ends all programs, one rank of `stop_order` after another. `hurry` cuts every grace short."""
        for rank in sorted({keeper.program.stop_order for keeper in self._tasks}):
            keepers = [keeper for keeper in self._tasks if keeper.program.stop_order == rank]
            for keeper in keepers:
                keeper.terminate()
            await asyncio.gather(*(self._end(keeper, hurry) for keeper in keepers))

    async def _end(self, keeper: Keeper, hurry: asyncio.Event) -> None:
        task = self._tasks[keeper]
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({task, hurried}, timeout=self._grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        was_hurried = hurried.done()
        hurried.cancel()
        if not task.done() and keeper.kill():
            self._tell(Killed(keeper.program.name, self._grace_seconds, was_hurried))
        await asyncio.wait({task}, timeout=_AFTER_KILL_SECONDS)
