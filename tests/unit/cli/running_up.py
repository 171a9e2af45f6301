"""`trireme up` as a process of its own."""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil


class RunningUp:
    """A `trireme up` that runs, what it says, and what it leaves behind."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        # Short, so that a socket fits into it: what `trireme up` leaves behind would stand here.
        self.temporary = Path(tempfile.mkdtemp(prefix="up-", dir="/tmp"))
        self.left_behind: list[str] | None = None
        self._said: list[str] = []
        self._out: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trireme_cli", "up", *arguments],
            env={**os.environ, **environment, "TMPDIR": str(self.temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._read, args=(self.process.stderr, self._said.append)),
            threading.Thread(target=self._read, args=(self.process.stdout, self._out.put)),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, take: Callable[[str], None]) -> None:
        for line in stream:
            take(line)

    @property
    def said(self) -> str:
        return "".join(self._said)

    def ready(self, seconds: float = 20) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self._out.get(timeout=seconds))
        return line

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def until_said(self, words: str, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.said:
            assert time.monotonic() < deadline, f"{words!r} was not said:\n{self.said}"
            time.sleep(0.02)

    def end(self, seconds: float = 20) -> int:
        """Waits for the end; `left_behind` is then known."""
        code = self.process.wait(seconds)
        self.left_behind = [path.name for path in self.temporary.iterdir()]
        self.close()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        for thread in self._threads:
            thread.join(10)
        assert self.process.stdout
        assert self.process.stderr
        self.process.stdout.close()
        self.process.stderr.close()
        shutil.rmtree(self.temporary, ignore_errors=True)
