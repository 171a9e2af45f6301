"""`trireme up` from the first process to the last: start, wait until ready, announce, watch, stop."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import httpx
from rich.console import Console

from trireme_cli.console import say, write_line
from trireme_cli.failure import Failure
from trireme_cli.up import render
from trireme_cli.up.events import Died, Event
from trireme_cli.up.inventory import take_inventory, tasks
from trireme_cli.up.launcher import launch
from trireme_cli.up.ports import PortAllocator
from trireme_cli.up.processes import Options, Platform, plan, require_services
from trireme_cli.up.readiness import Readiness, Snapshot
from trireme_cli.up.redis_server import private_directory
from trireme_cli.up.stop_signals import StopSignals
from trireme_cli.up.supervisor import Supervisor

_HTTP_SECONDS = 5.0


async def run(options: Options, console: Console) -> None:
    """Runs the platform until a signal. Raises Failure if it cannot be started."""
    signals = StopSignals(time.monotonic)
    signals.install()
    require_services()
    model_tasks = tasks(take_inventory(options.models_dir))
    with private_directory() as directory:
        platform = plan(options, service_environment(), directory, PortAllocator())
        client = httpx.AsyncClient(trust_env=False, timeout=_HTTP_SECONDS)
        async with client:
            readiness = Readiness(platform.programs, render.http_url(platform), set(model_tasks), client)
            supervisor = Supervisor(platform.programs, launch, _teller(console, platform, readiness))
            supervisor.start()
            try:
                await _until_stopped(
                    Session(options, platform, supervisor, readiness, model_tasks), console, signals
                )
            finally:
                await _stop(supervisor, console, signals)


class Session:
    """One run of the platform: what was asked for, what runs, what is known of it."""

    def __init__(
        self,
        options: Options,
        platform: Platform,
        supervisor: Supervisor,
        readiness: Readiness,
        model_tasks: Mapping[str, str],
    ) -> None:
        self.options = options
        self.platform = platform
        self.supervisor = supervisor
        self.readiness = readiness
        self.model_tasks = model_tasks

    async def serve(self, console: Console) -> None:
        """Waits until everything is ready and says so, then for ever. Raises Failure at a time-out."""
        with render.StartProgress(console, len(self.model_tasks)) as progress:
            snapshot, missing = await self.readiness.wait(self.options.ready_timeout_seconds, progress.show)
        if missing:
            lines = "\n".join(f"  {word}" for word in missing)
            raise Failure(
                f"not ready after {self.options.ready_timeout_seconds:g} s:\n{lines}\n"
                "What the services say stands above; --ready-timeout SECONDS waits longer."
            )
        self._announce(snapshot, console)
        await asyncio.Future()

    def _announce(self, snapshot: Snapshot, console: Console) -> None:
        render.show_platform(console, self.platform, snapshot, self.model_tasks)
        if self.options.json:
            pids: dict[str, int | list[int]] = dict(self.supervisor.pids)
            if isinstance(gateway := pids.get("gateway"), int):
                pids["gateway"] = [gateway, *children_of(gateway)]
            write_line(render.ready_line(self.platform, snapshot, pids))


async def _until_stopped(session: Session, console: Console, signals: StopSignals) -> None:
    serving = asyncio.create_task(session.serve(console))
    refused = asyncio.create_task(session.supervisor.refused())
    stop = asyncio.create_task(signals.stop.wait())
    tasks_ = {serving, refused, stop}
    done, pending = await asyncio.wait(tasks_, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    if stop in done:
        return
    if refused in done:
        raise Failure(f"{refused.result().name} refused to start; everything is stopped.")
    serving.result()


async def _stop(supervisor: Supervisor, console: Console, signals: StopSignals) -> None:
    say(console, "stopping; Ctrl-C again hurries" if signals.stop.is_set() else "stopping", "dim")
    await supervisor.stop(signals.hurry)
    say(console, "stopped", "dim")


def _teller(console: Console, platform: Platform, readiness: Readiness) -> Callable[[Event], None]:
    logs = {program.name: program.log_file for program in platform.programs}

    def tell(event: Event) -> None:
        if isinstance(event, Died):
            readiness.forget(event.name)
        render.tell(console, event, logs[event.name])

    return tell


def service_environment() -> dict[str, str]:
    """Environment of every service: ours, with a log format that suits whoever reads standard error."""
    environment = dict(os.environ)
    environment.setdefault("TRIREME_LOG_FORMAT", "console" if sys.stderr.isatty() else "json")
    # ONNX Runtime's own builds otherwise report to their maker and leave a file in the temporary directory.
    environment.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return environment


def children_of(pid: int) -> list[int]:
    """Processes that `pid` has started, where the kernel tells."""
    with suppress(OSError, ValueError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
