"""`python -m benchmarks.peers`: exit code 1 where a server could not be measured, 2 for wrong usage."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.command import end_by_sigterm, leave, progress
from benchmarks.driver import Driver, steps
from benchmarks.machine import this_machine
from benchmarks.peers.environments import versions
from benchmarks.peers.lineup import WORKLOAD, prepare, settings_tried
from benchmarks.peers.options import read_options
from benchmarks.readme import PEERS
from benchmarks.results import Results, WorkloadResult


def main() -> int:
    options = read_options(sys.argv[1:])
    end_by_sigterm()
    pace, servers = options.pace, options.cases[WORKLOAD.name]
    machine = this_machine(os.environ)
    machine = replace(machine, packages={**machine.packages, **versions(servers)})
    result = WorkloadResult(WORKLOAD.name, WORKLOAD.note)
    results = Results(options.command, machine, pace.rounds, pace.seconds, [result])
    total = steps(pace, WORKLOAD, settings_tried(servers))
    try:
        with progress(total) as tell, TemporaryDirectory(prefix="trireme-bench-") as directory:
            Driver(pace, Path(directory), os.environ, tell, prepare).run(WORKLOAD, servers, result)
    except KeyboardInterrupt:
        return 0
    return leave(results, options.json, PEERS if options.write else None)


if __name__ == "__main__":
    sys.exit(main())
