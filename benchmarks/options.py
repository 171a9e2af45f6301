"""The command line of `python -m benchmarks`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.driver import BUSIEST, Pace
from benchmarks.memory import MEMORY
from benchmarks.servers import TRIREME
from benchmarks.start import START
from benchmarks.workloads import WORKLOADS

SERVERS = tuple(dict.fromkeys(server for workload in WORKLOADS for server in workload.servers))


@dataclass(frozen=True)
class Options:
    """What was asked for. `cases` are workloads, `memory` and `start`, with the servers of each."""

    pace: Pace
    cases: dict[str, list[str]]
    json: Path | None
    write: bool
    command: str
    memory_requests: int = 10_000


def read_options(arguments: Sequence[str]) -> Options:
    """Exits with code 2 and a usage line for anything that cannot be done."""
    parser = _parser()
    given = parser.parse_args(arguments)
    cases = choose_cases(given.case)
    if not cases:
        names = [*(workload.name for workload in WORKLOADS), MEMORY, START, *SERVERS]
        parser.error(f"--case: choose from {', '.join(names)}")
    pace = choose_pace(parser, given)
    command = shlex.join([*parser.prog.split(), *arguments])
    return Options(pace, cases, given.json, given.write, command, 500 if given.quick else 10_000)


def choose_pace(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Pace:
    """What the options of `parser_of` say; ends as `read_options` does."""
    rounds = 1 if given.quick else 3
    rounds = rounds if given.rounds is None else given.rounds
    seconds = 0.5 if given.quick else 2.0
    seconds = seconds if given.seconds is None else given.seconds
    if rounds < 1 or seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    if given.quick:
        return Pace(rounds, seconds, 0.3, 128, levels=(1, BUSIEST), trials=False)
    return Pace(rounds, seconds, 1.0, 2048)


def parser_of(program: str, description: str) -> argparse.ArgumentParser:
    """The options that every benchmark of whole requests has."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument("--quick", action="store_true", help="one short round: a trial, no figures")
    parser.add_argument("--rounds", type=int, help="rounds, each visits every server (default 3)")
    parser.add_argument("--seconds", type=float, help="of every measurement (default 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = parser_of("python -m benchmarks", "Measures the platform beside its peers on this machine.")
    parser.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="NAME",
        help="a workload, a server, or WORKLOAD/SERVER; may be given again (default: all)",
    )
    return parser


def choose_cases(names: Sequence[str]) -> dict[str, list[str]]:
    """Servers by workload that any of `names` means; a name that means nothing leaves none at all."""
    every = [(workload.name, server) for workload in WORKLOADS for server in workload.servers]
    every += [(MEMORY, TRIREME), (START, TRIREME)]
    chosen = set() if names else set(every)
    for name in names:
        meant = {case for case in every if name in (*case, "/".join(case))}
        if not meant:
            return {}
        chosen |= meant
    cases: dict[str, list[str]] = {}
    for workload, server in every:
        if (workload, server) in chosen:
            cases.setdefault(workload, []).append(server)
    return cases
