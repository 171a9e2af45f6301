"""One window of load, by a load generator in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.figures import Sample
from benchmarks.servers import RunningServer, ServerError
from benchmarks.workloads import ROOT

_PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Window:
    """How long a measurement is."""

    warm_up_seconds: float
    seconds: float


def measure(requests: Path, server: RunningServer, connections: int, window: Window) -> Sample:
    """Raises ServerError with what the generator found wrong."""
    options = {
        "port": server.port,
        "root": server.pid,
        "connections": connections,
        "warm-up": window.warm_up_seconds,
        "seconds": window.seconds,
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", str(requests), *arguments],
        stdout=subprocess.PIPE,
        check=False,
        cwd=ROOT,
        timeout=window.warm_up_seconds + window.seconds + _PATIENCE_SECONDS,
    )
    answer = orjson.loads(finished.stdout or b"{}")
    if finished.returncode != 0:
        reason = answer.get("error", f"the load generator ended with {finished.returncode}")
        raise ServerError(f"{connections} connections: {reason}")
    return Sample(**answer)
