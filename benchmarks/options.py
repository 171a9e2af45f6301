"""The command line of `python -m benchmarks`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.driver import Pace
from benchmarks.servers import ANCHOR, SINGLE_FILE, TRIREME
from benchmarks.workloads import WORKLOADS

SERVERS = (ANCHOR, SINGLE_FILE, TRIREME)


@dataclass(frozen=True)
class Options:
    """What was asked for. `cases` are workloads with the servers to measure on each."""

    pace: Pace
    cases: dict[str, list[str]]
    json: Path | None
    write: bool
    command: str


def read_options(arguments: Sequence[str]) -> Options:
    """Exits with code 2 and a usage line for anything that cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measures the platform beside its peers on this machine."
    )
    parser.add_argument("--quick", action="store_true", help="one round of one second: a trial, no figures")
    parser.add_argument("--rounds", type=int, help="rounds, each visits every server (default 3)")
    parser.add_argument("--seconds", type=float, help="of every measurement (default 5)")
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="NAME",
        help="a workload, a server, or WORKLOAD/SERVER; may be given again (default: all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    given = parser.parse_args(arguments)
    cases = choose_cases(given.case)
    if not cases:
        parser.error(f"--case: choose from {', '.join([w.name for w in WORKLOADS])}, {', '.join(SERVERS)}")
    rounds = given.rounds or (1 if given.quick else 3)
    seconds = given.seconds or (1.0 if given.quick else 5.0)
    if rounds < 1 or seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    pace = Pace(rounds, seconds, 0.5 if given.quick else 2.0, 512 if given.quick else 2048)
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    return Options(pace, cases, given.json, given.write, command)


def choose_cases(names: Sequence[str]) -> dict[str, list[str]]:
    """Servers by workload that any of `names` means; a name that means nothing leaves none at all."""
    every = {(workload.name, server) for workload in WORKLOADS for server in SERVERS}
    chosen = set() if names else every
    for name in names:
        meant = {case for case in every if name in (*case, "/".join(case))}
        if not meant:
            return {}
        chosen |= meant
    cases = {
        workload.name: [server for server in SERVERS if (workload.name, server) in chosen]
        for workload in WORKLOADS
    }
    return {workload: servers for workload, servers in cases.items() if servers}
