"""The whole platform as users start it: `trireme up` in a process group of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("sentiment-zh", "digits", "tabular")
_STOP_SECONDS = 40
# Nothing here speaks TLS, and to read the authorities that are trusted takes longer than a request.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# No load balancer has to turn away here, so the end of a platform need not wait for one.
_DRAINS = {
    f"TRIREME_{service}_DRAIN_SECONDS": "0.1"
    for service in ("GATEWAY", "PREPROCESS", "INFERENCE", "POSTPROCESS")
}

LOSSLESS = {
    "TRIREME_GATEWAY_DRAIN_SECONDS": "1.0",
    **{f"TRIREME_{stage}_DRAIN_SECONDS": "0.5" for stage in ("PREPROCESS", "INFERENCE", "POSTPROCESS")},
}
"""For platforms whose parts are replaced under load: the drains that ship, which keep it from losing any."""


@dataclass(frozen=True)
class Platform:
    """A running platform; `log` holds what its services wrote to standard error."""

    url: str
    grpc: str
    pids: dict[str, Any]
    process: subprocess.Popen[str]
    log: Path

    def client(self) -> httpx.Client:
        """A client of its own; to be closed."""
        return httpx.Client(base_url=self.url, timeout=30, verify=_NO_TLS)

    def get(self, path: str) -> httpx.Response:
        """One GET on a connection of its own."""
        return httpx.get(f"{self.url}{path}", timeout=30, verify=_NO_TLS)

    def post(self, path: str, **content: Any) -> httpx.Response:
        """One POST on a connection of its own; `content` is that of httpx."""
        return httpx.post(f"{self.url}{path}", timeout=30, verify=_NO_TLS, **content)

    def log_lines(self) -> list[dict[str, Any]]:
        """The JSON lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def requests(self) -> list[dict[str, Any]]:
        """The access log."""
        return [line for line in self.log_lines() if line.get("event") == "request"]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stops it and returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_STOP_SECONDS)


@contextlib.contextmanager
def platform(models: Path, folder: Path, *arguments: str, **environment: str) -> Iterator[Platform]:
    """`trireme up` over `models`, ready; stopped at the end, whatever happened."""
    log = folder / "platform.log"
    command = [sys.executable, "-m", "trireme_cli", "up", "--models", str(models), "--json"]
    command += ["--http-port", "0", "--grpc-port", "0", *arguments]
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=ROOT,
            env={**os.environ, "TRIREME_LOG_FORMAT": "json", **_DRAINS, **environment},
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the platform did not start:\n{log.read_text(errors='replace')[-4000:]}"
        ready = json.loads(line)
        yield Platform(ready["http"], ready["grpc"], ready["pids"], process, log)
    finally:
        stop_all(process)
        process.stdout.close()


def stop_all(process: subprocess.Popen[Any]) -> None:
    """Ends a process that may have children, and waits for it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def copy_models(target: Path, *names: str) -> Path:
    """A repository of its own with some of the models that ship, to be changed by a test."""
    for name in names or SHIPPED:
        shutil.copytree(ROOT / "models" / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target
