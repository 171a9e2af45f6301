"""How much memory this process has, and how much it may have."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_STATM = Path("/proc/self/statm")
_UNLIMITED = 1 << 60  # cgroup v1 writes a number near 2^63 for no limit


def available_bytes(cgroup: Path = _CGROUP) -> int:
    """The container's memory limit (cgroup v2, v1), or the machine's memory where there is none."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((cgroup / name).read_text())
        except (OSError, ValueError):  # missing, or `max`
            continue
        if limit < _UNLIMITED:
            return min(limit, machine)
    return machine


def resident_bytes(statm: Path = _STATM) -> int:
    """Memory that this process holds now; 0 where the kernel does not tell."""
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
