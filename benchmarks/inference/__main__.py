"""`python -m benchmarks.inference`: exit code 1 where something could not be measured, 2 for wrong usage."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import readme
from benchmarks.figures import cores
from benchmarks.inference import report
from benchmarks.inference.driver import Driver
from benchmarks.inference.models import MODELS
from benchmarks.inference.options import Options, read_options
from benchmarks.inference.raw import raw_settings
from benchmarks.inference.results import InferenceResults, ModelResult
from benchmarks.machine import this_machine
from benchmarks.peers.environments import PINS
from benchmarks.report import show_tables

_WIDTH = 170


def main() -> int:
    options = read_options(sys.argv[1:])
    signal.signal(signal.SIGTERM, _interrupt)
    pace = options.pace
    results = InferenceResults(options.command, this_machine(os.environ), pace.rounds, pace.seconds)
    pins = [pin for name, (pin, *_) in PINS.items() if name in options.servers]
    results.versions.update((package, number) for package, _, number in (pin.partition("==") for pin in pins))
    try:
        _measure(options, results)
    except KeyboardInterrupt:
        return 0
    show_tables(report.tables(results), Console(width=None if sys.stdout.isatty() else _WIDTH))
    for failure in results.failures:
        print(f"NOT MEASURED {failure}")
    if options.json is not None:
        options.json.write_bytes(orjson.dumps(results.as_dict(), option=orjson.OPT_INDENT_2))
    if options.write:
        report.write(readme.README, results)
    return 1 if results.failures else 0


def _measure(options: Options, results: InferenceResults) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console, began = Console(stderr=True), time.monotonic()
    progress = Progress(*columns, console=console, disable=not console.is_terminal)
    with progress, TemporaryDirectory(prefix="trireme-bench-") as directory:
        task = progress.add_task("starting", total=steps(options))

        def tell(what: str) -> None:
            progress.update(task, description=what, advance=1)
            if not console.is_terminal:
                print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr, flush=True)

        driver = Driver(options.pace, Path(directory), os.environ, tell)
        for model in MODELS:
            if model.name in options.models:
                result = ModelResult(model.name, model.note, model.kind)
                results.models.append(result)
                driver.run(model, options.servers, result)


def steps(options: Options) -> int:
    """About how often something is told, where nothing fails."""
    pace = options.pace
    tried = 0 if pace.trials == 1 else 4 * (len(options.servers) - 2) - 1
    rounds = pace.rounds * (2 + len(options.servers) * pace.each_round)
    return len(options.models) * (1 + len(raw_settings(cores(), pace.raw_batches)) + tried + rounds)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
