"""What the supervisor tells: one class a kind of news, rendered elsewhere."""

from __future__ import annotations

import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class Died:
    """A program ended that nobody had asked to end; it comes back."""

    name: str
    exit_code: int
    restart_in_seconds: float
    restarts: int
    """How often it has been started again, this time included."""


@dataclass(frozen=True)
class Restarted:
    name: str
    pid: int
    restarts: int


@dataclass(frozen=True)
class Refused:
    """A program said at its start that its settings cannot be honoured; it does not come back."""

    name: str
    exit_code: int


@dataclass(frozen=True)
class Killed:
    """A program did not end when it was asked to."""

    name: str
    after_seconds: float
    hurried: bool


Event = Died | Restarted | Refused | Killed


def describe_exit(code: int) -> str:
    """`exit code 1`, or `SIGKILL` for minus its number."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
