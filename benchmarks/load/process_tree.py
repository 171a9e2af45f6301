"""CPU time and memory of a server with all its processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil


class ProcessesChangedError(Exception):
    """A process of the server ended or came up while it was measured."""


@dataclass(frozen=True)
class CpuReading:
    """User and system seconds since each process began, by its id, and what each runs."""

    seconds: dict[int, float]
    programs: dict[int, str]

    def until(self, later: CpuReading) -> dict[str, float]:
        """CPU seconds of each program between two readings. Raises ProcessesChangedError."""
        if self.seconds.keys() != later.seconds.keys():
            raise ProcessesChangedError(
                f"the server's processes changed from {sorted(self.seconds)} to {sorted(later.seconds)}"
            )
        spent: dict[str, float] = {}
        for pid, program in self.programs.items():
            spent[program] = spent.get(program, 0.0) + later.seconds[pid] - self.seconds[pid]
        return spent


def read_cpu(root: int) -> CpuReading:
    """Reading of process `root` and everything below it. Raises ProcessesChangedError if one is gone."""
    try:
        process = psutil.Process(root)
        tree = [process, *process.children(recursive=True)]
        times = {each.pid: each.cpu_times() for each in tree}
        programs = {each.pid: program_of(each.cmdline()) for each in tree}
    except psutil.NoSuchProcess as error:
        raise ProcessesChangedError(f"process {error.pid} of the server is gone") from error
    return CpuReading({pid: time.user + time.system for pid, time in times.items()}, programs)


def read_pss(root: int) -> dict[str, float]:
    """PSS in MB of each program of the tree: pages that processes share are counted once, in parts.

    Raises ProcessesChangedError if a process is gone, OSError where it may not be read.
    """
    found: dict[str, float] = {}
    try:
        process = psutil.Process(root)
        for each in [process, *process.children(recursive=True)]:
            program = program_of(each.cmdline())
            rollup = Path(f"/proc/{each.pid}/smaps_rollup").read_text("ascii")
            found[program] = found.get(program, 0.0) + pss_of(rollup)
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError) as error:
        raise ProcessesChangedError(f"a process of the server is gone: {error}") from error
    return found


def pss_of(rollup: str) -> float:
    """MB (10^6 bytes) that a smaps_rollup file says. Raises ValueError for one without them."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError("no line of Pss in smaps_rollup")


def program_of(command: Sequence[str]) -> str:
    """The module of `python -m MODULE`, else the program's name."""
    for before, module in pairwise(command):
        if before == "-m":
            return module.rpartition(".")[2]
    # Redis writes over its command line; its program is the first word of what stands there then.
    return command[0].partition(" ")[0].rpartition("/")[2] if command else "?"
