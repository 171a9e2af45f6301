"""Where a command speaks: results on standard output, everything for people on standard error."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.text import Text

_WIDE = 200


def person() -> Console:
    """Console on standard error, for progress, warnings and errors."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def results() -> Console:
    """Console on standard output, for tables that were asked for."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        # Nobody's screen is 80 columns wide there; a digest that is cut short is of no use.
        console.width = _WIDE
    return console


def say(console: Console, message: str, style: str = "") -> None:
    """One message, taken literally. A terminal or pipe that has gone away is no reason to fail."""
    with suppress(OSError):
        console.print(Text(message, style=style))


def write_line(line: str) -> None:
    """One line for programs on standard output, sent at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def report_failure(message: str) -> None:
    """The last words of a command that failed."""
    first, *rest = message.splitlines() or [""]
    console = person()
    with suppress(OSError):
        console.print(Text.assemble(("trireme: ", "bold red"), first))
        for line in rest:
            console.print(Text(line))


def counted(number: int, noun: str) -> str:
    """`1 item`, `2 items`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shown(value: Any) -> str:
    """A figure as a table shows it."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)
