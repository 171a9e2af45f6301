"""A child ends with whoever waits for it, and may put away what it opened."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from tests.support.processes import eventually
from tests.support.signals import interruptible as interruptible
from trireme_lab.child import run_child

_WAITING = """
import pathlib, sys, time
begun, ended = map(pathlib.Path, sys.argv[1:])
try:
    begun.touch()
    time.sleep(60)
finally:
    ended.touch()
"""


def test_what_it_wrote_and_its_code() -> None:
    script = "import sys; print('out'); print('said', file=sys.stderr); sys.exit(3)"

    ended = run_child((sys.executable, "-c", script), 60)

    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "out\n", "said\n")


@pytest.mark.usefixtures("interruptible")
def test_it_ends_with_the_wait(tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"

    def interrupt() -> None:
        eventually(begun.exists)
        os.kill(os.getpid(), signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        run_child((sys.executable, "-c", _WAITING, str(begun), str(ended)), 60)
    other.join()

    assert ended.exists()
