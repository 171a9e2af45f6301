"""Becomes another program that is told to end when the process that started it dies.

Run as a script, before anything else of the child: `python -I -S orphan_guard.py PARENT PROGRAM [ARG ...]`.
A wrapper does between fork and exec what a `preexec_fn` could only do at the risk of a deadlock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        # The parent was gone before the kernel knew that we care.
        sys.exit(1)
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
