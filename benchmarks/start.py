"""How long the gateway takes to start (P10): from the process to the first answer of /livez."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.results import StartResult
from benchmarks.servers import ServerError

START = "start"
_PATIENCE_SECONDS, _LOOK_SECONDS = 30.0, 0.005
_STOP_SECONDS = 30.0


def measure_start(
    directory: Path,
    environment: Mapping[str, str],
    rounds: int,
    tell: Callable[[str], None],
    result: StartResult,
) -> None:
    """Fills `result` with the seconds of each round; no stage runs, the gateway waits for none."""
    for number in range(1, rounds + 1):
        tell(f"start: round {number}, the gateway")
        try:
            result.seconds.append(_start(directory / "gateway.log", environment))
        except (ServerError, OSError, subprocess.SubprocessError) as error:
            result.seconds.clear()
            result.failure = f"{type(error).__name__}: {error}"
            return


def _start(log: Path, environment: Mapping[str, str]) -> float:
    port = _free_port()
    ports = {"TRIREME_GATEWAY_HTTP_PORT": str(port), "TRIREME_GATEWAY_GRPC_PORT": str(_free_port())}
    with log.open("wb") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            (sys.executable, "-m", "trireme_gateway"),
            env={**environment, "TRIREME_GATEWAY_HOST": "127.0.0.1", **ports},
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
        )
        try:
            while not _lives(port):
                if process.poll() is not None:
                    raise ServerError(f"the gateway ended: {log.read_text('utf-8', 'replace')[-1000:]}")
                if time.perf_counter() - began > _PATIENCE_SECONDS:
                    raise ServerError(f"the gateway does not answer within {_PATIENCE_SECONDS:g} s")
                time.sleep(_LOOK_SECONDS)
            return time.perf_counter() - began
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _lives(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port
