"""A process that a command of the lab waits for, and takes along when it ends itself."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

_END_SECONDS = 10


def run_child(command: Sequence[str], timeout_seconds: float) -> subprocess.CompletedProcess[str]:
    """Runs `command` to its end. Raises subprocess.TimeoutExpired.

    Whatever ends the wait ends the child too: by SIGINT, at which Python puts away what it opened, and by
    SIGKILL where that takes longer than ten seconds. Its session is its own, so that Ctrl-C reaches it once.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as child:
        try:
            out, said = child.communicate(timeout=timeout_seconds)
        except BaseException:
            try:
                child.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    child.communicate(timeout=_END_SECONDS)
            finally:  # also where the user has lost patience
                child.kill()
            raise
    return subprocess.CompletedProcess(command, child.returncode, out, said)
