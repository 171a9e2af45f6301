"""`python -m benchmarks`: exit code 1 where a case failed, 2 for wrong usage."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import readme
from benchmarks.driver import Driver
from benchmarks.machine import this_machine
from benchmarks.memory import MEMORY, measure_memory
from benchmarks.options import Options, read_options
from benchmarks.report import show
from benchmarks.results import MemoryResult, Results, StartResult, WorkloadResult
from benchmarks.start import START, measure_start
from benchmarks.workloads import WORKLOADS

_WIDTH = 150


def main() -> int:
    options = read_options(sys.argv[1:])
    signal.signal(signal.SIGTERM, _interrupt)
    machine = this_machine(os.environ)
    results = Results(options.command, machine, options.pace.rounds, options.pace.seconds)
    try:
        _measure(options, results)
    except KeyboardInterrupt:
        return 0
    show(results, Console(width=None if sys.stdout.isatty() else _WIDTH))
    if options.json is not None:
        options.json.write_bytes(orjson.dumps(results.as_dict(), option=orjson.OPT_INDENT_2))
    if options.write:
        readme.write(readme.README, results)
    return 1 if results.failures else 0


def _measure(options: Options, results: Results) -> None:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    )  # fmt: skip
    progress = Progress(*columns, console=Console(stderr=True))
    with progress, TemporaryDirectory(prefix="trireme-bench-") as directory:
        task = progress.add_task("starting", total=None)

        def tell(what: str) -> None:
            progress.update(task, description=what, advance=1)

        home = Path(directory)
        driver = Driver(options.pace, home, os.environ, tell)
        progress.update(task, total=_steps(options, driver.tried()))
        for workload in WORKLOADS:
            if workload.name in options.cases:
                result = WorkloadResult(workload.name, workload.note)
                results.workloads.append(result)
                driver.run(workload, options.cases[workload.name], result)
        if MEMORY in options.cases:
            results.memory = MemoryResult()
            pace = options.pace
            measure_memory(home, os.environ, options.memory_requests, pace.payloads, tell, results.memory)
        if START in options.cases:
            results.start = StartResult()
            measure_start(home, os.environ, options.pace.rounds, tell, results.start)


def _steps(options: Options, tried: Mapping[str, int]) -> int:
    """How often something is told, where nothing fails."""
    steps = 3 if MEMORY in options.cases else 0
    steps += options.pace.rounds if START in options.cases else 0
    for workload in WORKLOADS:
        servers = options.cases.get(workload.name, [])
        if servers:
            steps += 1 + len(servers) * options.pace.rounds * len(options.pace.of(workload))
            steps += sum(tried.get(server, 0) for server in servers)
    return steps


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
