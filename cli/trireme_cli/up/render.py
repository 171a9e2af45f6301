"""What `trireme up` shows: progress while it starts, what it serves, what happens to its services."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from trireme_cli.console import say
from trireme_cli.up.events import Died, Event, Killed, Refused, Restarted, describe_exit
from trireme_cli.up.examples import curl_example
from trireme_cli.up.ports import join, reachable_from_here
from trireme_cli.up.processes import Platform
from trireme_cli.up.readiness import ModelState, Phase, Snapshot
from trireme_common.shown_url import shown_url

_STATE_STYLES = {"READY": "green", "LOADING": "yellow", "UNAVAILABLE": "red", "UNLOADING": "yellow"}
_PHASE_STEPS = {Phase.STARTING: 0, Phase.LISTENING: 1, Phase.READY: 2}
_PHASE_STYLES = {Phase.STARTING: "dim", Phase.LISTENING: "cyan", Phase.READY: "green"}


class StartProgress:
    """Says each change of a service or model once; on a terminal a bar shows how far it is."""

    def __init__(self, console: Console, models_expected: int) -> None:
        self._console = console
        self._models_expected = models_expected
        self._began = time.monotonic()
        self._phases: Mapping[str, Phase] = {}
        self._models: Mapping[str, ModelState] = {}
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)

    def __enter__(self) -> StartProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._bar.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Says what is new since the last look."""
        for name, phase in snapshot.phases.items():
            if self._phases.get(name) is not phase:
                self._say(name, str(phase), _PHASE_STYLES[phase])
        for name, model in snapshot.models.items():
            before = self._models.get(name)
            if before is None or before.state != model.state:
                self._say(f"model {name}", model.state.lower(), _STATE_STYLES.get(model.state, ""))
        self._phases, self._models = snapshot.phases, snapshot.models
        done = sum(_PHASE_STEPS[phase] for phase in snapshot.phases.values())
        done += sum(model.state != "LOADING" for model in snapshot.models.values())
        models = max(self._models_expected, len(snapshot.models))
        total = len(snapshot.phases) * _PHASE_STEPS[Phase.READY] + models
        self._bar.update(
            self._task,
            description="starting",
            completed=done,
            total=total,
        )

    def _say(self, name: str, state: str, style: str) -> None:
        elapsed = time.monotonic() - self._began
        say(self._console, f"{elapsed:6.1f} s  {name:<24} {state}", style)


def tell(console: Console, event: Event, log_file: Path | None = None) -> None:
    """One line for one piece of news about a program."""
    match event:
        case Died(name, code, seconds, restarts):
            say(
                console,
                f"{name} died ({describe_exit(code)}); restarting in {seconds:.1f} s (restart {restarts})",
                "bold yellow",
            )
            _show_log(console, log_file)
        case Restarted(name, pid, restarts):
            say(console, f"{name} restarted as process {pid} (restart {restarts})", "yellow")
        case Refused(name, code):
            say(console, f"{name} cannot start ({describe_exit(code)}); its message stands above", "bold red")
            _show_log(console, log_file)
        case Killed(name, seconds, hurried):
            why = "at your second request" if hurried else f"it did not stop within {seconds:.0f} s"
            say(console, f"{name} killed: {why}", "bold yellow")


def _show_log(console: Console, log_file: Path | None) -> None:
    if log_file is None or not log_file.is_file():
        return
    for line in log_file.read_text("utf-8", "replace").splitlines()[-3:]:
        say(console, f"  {line}", "dim")


def show_platform(console: Console, platform: Platform, snapshot: Snapshot, tasks: Mapping[str, str]) -> None:
    """Where it listens, what it serves and one call to copy."""
    url = http_url(platform)
    rows = {
        "HTTP": url,
        "gRPC": grpc_address(platform),
        "docs": f"{url}/docs",
        "metrics": f"{url}/metrics",
        "redis": shown_url(platform.redis_url or "off"),
    }
    with suppress(OSError):
        console.print()
        for name, value in rows.items():
            say(console, f"  {name:<8} {value}")
        console.print()
        console.print(_model_table(snapshot.models, tasks))
    bad = {name: model for name, model in snapshot.models.items() if model.state == "UNAVAILABLE"}
    for name, model in bad.items():
        say(
            console,
            f"warning: model {name} is not served: {model.reason or 'no reason given'}",
            "bold yellow",
        )
    ready = {
        name: tasks[name] for name, model in snapshot.models.items() if name in tasks and name not in bad
    }
    say(console, f"\nTry it:\n\n  {curl_example(url, ready or tasks)}\n")
    say(console, f"{len(platform.programs)} processes run; Ctrl-C stops them all.", "dim")


def _model_table(models: Mapping[str, ModelState], tasks: Mapping[str, str]) -> Table:
    table = Table("model", "version", "task", "state", "reason")
    for name, model in sorted(models.items()):
        style = _STATE_STYLES.get(model.state, "")
        table.add_row(name, model.version, tasks.get(name, ""), f"[{style}]{model.state}[/]", model.reason)
    return table


def ready_line(platform: Platform, snapshot: Snapshot, pids: Mapping[str, int | list[int]]) -> str:
    """The one line that `--json` promises."""
    models = {
        name: {"state": model.state, "version": model.version, "reason": model.reason}
        for name, model in snapshot.models.items()
    }
    return json.dumps(
        {
            "ready": True,
            "http": http_url(platform),
            "grpc": grpc_address(platform),
            "redis": platform.redis_url and shown_url(platform.redis_url),
            "models": models,
            "pids": pids,
        },
        ensure_ascii=False,
    )


def http_url(platform: Platform) -> str:
    return f"http://{join(reachable_from_here(platform.host), platform.http_port)}"


def grpc_address(platform: Platform) -> str:
    return join(reachable_from_here(platform.host), platform.grpc_port)
