"""Workers of one gateway, without stages: none gets ready, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.stage_process import free_port


def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def test_a_worker_that_is_being_started_ends_with_the_gateway(tmp_path: Path) -> None:
    workers: list[psutil.Process] = []
    ports = {name: str(free_port()) for name in ("HTTP_PORT", "GRPC_PORT", "METRICS_PORT")}
    settings = {"WORKERS": "2", "HOST": "127.0.0.1", **ports}
    environment = {**os.environ, **{f"TRIREME_GATEWAY_{name}": value for name, value in settings.items()}}
    log = tmp_path / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "trireme_gateway"]
        gateway = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        _until(lambda: log.read_text().count('"listening"') == 2)
        gateway.send_signal(signal.SIGHUP)
        # One that is not that far yet would end by itself, of the pipe that its parent took along.
        _until(lambda: log.read_text().count('"listening"') == 3)
        workers = psutil.Process(gateway.pid).children()
        assert len(workers) == 3
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(60) == 0, log.read_text()
        _, left = psutil.wait_procs(workers, timeout=5)
        assert left == []
    finally:
        for process in psutil.Process(gateway.pid).children() if gateway.poll() is None else workers:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        gateway.kill()
