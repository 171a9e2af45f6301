"""`python -m benchmarks`: exit code 1 where a case failed, 2 for wrong usage."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import readme
from benchmarks.driver import Driver
from benchmarks.machine import this_machine
from benchmarks.options import Options, read_options
from benchmarks.report import show
from benchmarks.results import Results, WorkloadResult
from benchmarks.servers import candidates
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
        task = progress.add_task("starting", total=_steps(options))

        def tell(what: str) -> None:
            progress.update(task, description=what, advance=1)

        driver = Driver(options.pace, Path(directory), os.environ, tell)
        for workload in WORKLOADS:
            if workload.name in options.cases:
                result = WorkloadResult(workload.name, workload.note)
                results.workloads.append(result)
                driver.run(workload, options.cases[workload.name], result)


def _steps(options: Options) -> int:
    """How often the driver tells something, where nothing fails."""
    paths = dict.fromkeys((1, 2), Path())
    tried = {name: len(specs) for name, specs in candidates(paths).items()}
    steps = 0
    for servers in options.cases.values():
        steps += 1 + len(servers) * options.pace.rounds * len(options.pace.levels)
        steps += sum(tried[server] for server in servers if tried[server] > 1)
    return steps


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
