"""What runs below a process, by /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def descendants(pid: int | None = None) -> set[int]:
    """Process ids below `pid`, or below this process."""
    found: set[int] = set()
    waiting = [os.getpid() if pid is None else pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            try:
                children = [int(child) for child in task.read_text().split()]
            except (FileNotFoundError, ProcessLookupError):
                continue
            found.update(children)
            waiting.extend(children)
    return found


def gone(pid: int) -> bool:
    """Dead; one that nobody has reaped yet counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def eventually(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Waits until `condition` holds; fails where it does not in time."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)
