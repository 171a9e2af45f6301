"""Entry point of `trireme` and `python -m trireme_cli`: signals first, then the commands."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Runs the command of the process's arguments and ends the process with its exit code."""
    if sys.argv[1:2] in (["up"], ["export"], ["optimize"]):
        # A signal that comes while modules are still being imported ends these as any later one does.
        # One that whoever started us has turned off, as `nohup` and a shell's `&` do, stays off for `export`
        # and `optimize`; `up` is stopped by SIGINT and SIGTERM whoever started it.
        heeded = (signal.SIGINT, signal.SIGTERM) if sys.argv[1] == "up" else ()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number in heeded or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _nothing_started_yet)
    from trireme_cli.app import run

    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:
        # Whoever read the output has left; nothing remains to be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _nothing_started_yet(number: int, frame: FrameType | None) -> None:
    # An exception raised here could be swallowed by whatever import is under way.
    os._exit(0)


if __name__ == "__main__":
    main()
