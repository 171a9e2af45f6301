"""`python -m benchmarks.inference`: exit code 1 where something could not be measured, 2 for wrong usage."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from rich.console import Console

from benchmarks import readme
from benchmarks.command import end_by_sigterm, progress
from benchmarks.figures import cores
from benchmarks.inference import report
from benchmarks.inference.driver import Driver
from benchmarks.inference.models import MODELS
from benchmarks.inference.options import Options, read_options
from benchmarks.inference.raw import raw_settings
from benchmarks.inference.results import InferenceResults, ModelResult
from benchmarks.machine import this_machine
from benchmarks.peers.environments import versions
from benchmarks.report import show_tables

_WIDTH = 170


def main() -> int:
    options = read_options(sys.argv[1:])
    end_by_sigterm()
    pace = options.pace
    results = InferenceResults(options.command, this_machine(os.environ), pace.rounds, pace.seconds)
    results.versions.update(versions(options.servers))
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
    with progress(steps(options)) as tell, TemporaryDirectory(prefix="trireme-bench-") as directory:
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


if __name__ == "__main__":
    sys.exit(main())
