"""`python -m benchmarks`: exit code 1 where a case failed, 2 for wrong usage."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command import end_by_sigterm, leave, progress
from benchmarks.driver import Driver, steps
from benchmarks.machine import this_machine
from benchmarks.memory import MEMORY, measure_memory
from benchmarks.options import Options, read_options
from benchmarks.readme import FIGURES
from benchmarks.results import MemoryResult, Results, StartResult, WorkloadResult
from benchmarks.servers import settings_tried
from benchmarks.start import START, measure_start
from benchmarks.workloads import WORKLOADS


def main() -> int:
    options = read_options(sys.argv[1:])
    end_by_sigterm()
    machine = this_machine(os.environ)
    results = Results(options.command, machine, options.pace.rounds, options.pace.seconds)
    try:
        _measure(options, results)
    except KeyboardInterrupt:
        return 0
    return leave(results, options.json, FIGURES if options.write else None)


def _measure(options: Options, results: Results) -> None:
    with progress(_steps(options)) as tell, TemporaryDirectory(prefix="trireme-bench-") as directory:
        home = Path(directory)
        driver = Driver(options.pace, home, os.environ, tell)
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


def _steps(options: Options) -> int:
    """How often something is told, where nothing fails."""
    told = 3 if MEMORY in options.cases else 0
    told += options.pace.rounds if START in options.cases else 0
    for workload in WORKLOADS:
        if workload.name in options.cases:
            told += steps(options.pace, workload, settings_tried(options.cases[workload.name]))
    return told


if __name__ == "__main__":
    sys.exit(main())
