"""Workers of one gateway, without stages: none gets ready, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.support.stage_process import free_port


def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def test_a_worker_that_is_being_started_ends_with_the_gateway(tmp_path: Path) -> None:
    ports = {name: str(free_port()) for name in ("HTTP_PORT", "GRPC_PORT", "METRICS_PORT")}
    settings = {"WORKERS": "2", "HOST": "127.0.0.1", **ports}
    environment = {**os.environ, **{f"TRIREME_GATEWAY_{name}": value for name, value in settings.items()}}
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "trireme_gateway"]
        gateway = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        parent = psutil.Process(gateway.pid)
        _until(lambda: (tmp_path / "log").read_text().count("listening") >= 2)
        gateway.send_signal(signal.SIGHUP)
        _until(lambda: len(parent.children()) == 3)
        workers = parent.children()
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(60) == 0, (tmp_path / "log").read_text()
        _, left = psutil.wait_procs(workers, timeout=10)
        assert left == []
    finally:
        if gateway.poll() is None:
            gateway.kill()
