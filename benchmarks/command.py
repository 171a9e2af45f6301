"""What the commands of the benchmarks have in common: progress, an end by SIGTERM, and what they leave."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.readme import README, Marks, write
from benchmarks.report import show
from benchmarks.results import Results

_WIDTH = 150


def end_by_sigterm() -> None:
    """From now on SIGTERM ends the command as Ctrl-C does: its servers are stopped."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """A function to call with each of `total` steps that begins: a bar on stderr, or a line for each where
    that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console, began = Console(stderr=True), time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=total)

        def tell(what: str) -> None:
            bar.update(task, description=what, advance=1)
            if not console.is_terminal:
                print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr, flush=True)

        yield tell


def leave(results: Results, json: Path | None, marks: Marks | None) -> int:
    """Prints the tables, writes every sample to `json` and the tables between `marks` of the page.

    Returns the exit code: 1 where a case failed. Raises ReadmeError, OSError.
    """
    show(results, Console(width=None if sys.stdout.isatty() else _WIDTH))
    if json is not None:
        json.write_bytes(orjson.dumps(results.as_dict(), option=orjson.OPT_INDENT_2))
    if marks is not None:
        write(README, results, marks)
    return 1 if results.failures else 0
