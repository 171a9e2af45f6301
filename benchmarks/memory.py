"""What the platform holds in memory (P9): PSS with the models that ship, idle and after work."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.answers import check_answers
from benchmarks.exchanges import Exchanges
from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.load.process_tree import ProcessesChangedError, read_pss
from benchmarks.peers.single_file import read_pipeline
from benchmarks.repository import make_repository
from benchmarks.results import MemoryResult
from benchmarks.servers import TRIREME, RunningServer, ServerError, platform
from benchmarks.window import Window, measure
from benchmarks.workloads import ROOT, WORKLOADS, Workload, ask_oracle
from trireme_cli.loadtest.http import ProtocolError

MEMORY = "memory"
IDLE = 0
"""Key of the reading before the load."""
_MODELS = ROOT / "models"
_CONNECTIONS = 16
_SETTLE_SECONDS = 1.0
_CASE_FAILURES = (
    ServerError,
    WrongAnswerError,
    ProtocolError,
    ProcessesChangedError,
    OSError,
    ValueError,
    subprocess.SubprocessError,
)


def measure_memory(
    directory: Path,
    environment: Mapping[str, str],
    requests: int,
    payloads: int,
    tell: Callable[[str], None],
    result: MemoryResult,
) -> None:
    """Fills `result`: after the first answers, and after at least so many `requests` more."""
    try:
        _measure(directory / MEMORY, environment, requests, payloads, tell, result)
    except _CASE_FAILURES as error:
        result.readings.clear()
        result.failure = f"{type(error).__name__}: {error}"


def _measure(
    home: Path,
    environment: Mapping[str, str],
    requests: int,
    payloads: int,
    tell: Callable[[str], None],
    result: MemoryResult,
) -> None:
    tell("memory: the platform with the models that ship")
    asked = {workload.name: _ask(workload, home, payloads) for workload in _shipped()}
    # The cache is off in the copies, so that every request goes through all stages.
    for specification in sorted(_MODELS.glob("*/model.yaml")):
        make_repository(specification.parent, home / "models")
    # Redis is there, because `trireme up` starts one.
    spec = platform(TRIREME, home / "models", 1, redis="embedded")
    with spec.running(environment, home / "log") as server:
        for exchanges, _ in asked.values():
            check_answers(server.port, exchanges)
        time.sleep(_SETTLE_SECONDS)
        result.readings[IDLE] = read_pss(server.pid)
        sent = 0
        for name, (_, file) in asked.items():
            tell(f"memory: {requests // len(asked)} requests of {name}")
            sent += _send(file, server, requests // len(asked))
        time.sleep(_SETTLE_SECONDS)
        result.readings[sent] = read_pss(server.pid)


def _shipped() -> list[Workload]:
    return [workload for workload in WORKLOADS if workload.model.parent == _MODELS]


def _ask(workload: Workload, home: Path, payloads: int) -> tuple[Exchanges, Path]:
    """Requests with their answers, and the file that the load generator reads."""
    repository = make_repository(workload.model, home / workload.name, 1)
    exchanges = ask_oracle(workload, read_pipeline(repository)[1], payloads).model
    file = home / f"{workload.name}.json"
    exchanges.write(file)
    return exchanges, file


def _send(file: Path, server: RunningServer, requests: int) -> int:
    """At least so many requests; returns how many it were."""
    sent = 0
    while sent < requests:
        sent += measure(file, server, _CONNECTIONS, Window(0.0, 2.0)).requests
    return sent
