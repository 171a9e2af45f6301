"""One server asked: how it runs, one window of load, and what setting suits it best."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.figures import Sample
from benchmarks.inference.servers import Server
from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.peers.catalog import ROOT, Setting
from benchmarks.peers.environments import PeerMissingError
from benchmarks.peers.running import launched
from benchmarks.servers import ServerError
from benchmarks.window import Window
from trireme_cli.loadtest.http import ProtocolError

BUSIEST = 64
FAILURES = (
    ServerError,
    PeerMissingError,
    WrongAnswerError,
    ProtocolError,
    OSError,
    subprocess.SubprocessError,
)
"""What a server that cannot be measured raises."""
_PATIENCE_SECONDS = 90.0

Tell = Callable[[str], None]
"""Called with what is about to be measured, once a measurement."""


@dataclass(frozen=True)
class Up:
    """A server that runs. `root` is the process whose tree's CPU time is read."""

    questions: Path
    port: int
    root: int


@dataclass(frozen=True)
class Taken:
    """What one window gave; the latencies of all its answers are in order of size."""

    sample: Sample
    latencies_ms: list[float]


@contextmanager
def running(server: Server, setting: Setting, home: Path) -> Iterator[Up]:
    """The server from its first right answers until the end of the block; `home` takes questions and log.

    Raises ServerError, PeerMissingError, WrongAnswerError, ProtocolError.
    """
    questions = home / f"{server.name}.json"
    server.questions.write(questions)
    started = server.start(setting)
    with launched(started.launch, home / f"{server.name}.log") as pid:
        yield Up(questions, started.port, pid)


def ask(
    up: Up, window: Window, callers: int = BUSIEST, *, rate: float | None = None, seed: int | None = None
) -> Taken:
    """A closed loop of `callers`, or an open one of `rate` requests a second with so many under way at most.

    Raises ServerError with what the load generator found wrong, and subprocess.TimeoutExpired.
    """
    options = {
        "port": up.port,
        "root": up.root,
        "callers": callers,
        "warm-up": window.warm_up_seconds,
        "seconds": window.seconds,
        "rate": rate,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    arguments = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    finished = subprocess.run(
        [sys.executable, "-m", "benchmarks.load.tensors", str(up.questions), *arguments],
        stdout=subprocess.PIPE,
        check=False,
        cwd=ROOT,
        timeout=window.warm_up_seconds + window.seconds + 2 * _PATIENCE_SECONDS,
    )
    answer = orjson.loads(finished.stdout or b"{}")
    if finished.returncode != 0:
        reason = answer.get("error", f"the load generator ended with {finished.returncode}")
        raise ServerError(f"{callers} at a time{', open loop' if rate else ''}: {reason}")
    return Taken(Sample(**answer["sample"]), answer["latencies_ms"])


def trials(
    server: Server, settings: Mapping[str, Setting], home: Path, window: Window, tell: Tell
) -> Iterator[tuple[str, Sample]]:
    """Each setting's name with one window at `BUSIEST`, the server started for it alone.

    Raises what `running` and `ask` do.
    """
    for name, setting in settings.items():
        tell(f"{server.questions.model}: {server.name}, trying {name}")
        with running(server, setting, home) as up:
            sample = ask(up, window).sample
        yield name, sample


def best_setting(tried: Mapping[str, Sample]) -> str:
    """The setting with most answers a second; of settings within 2% the one that took least CPU time.

    Raises ValueError where none was tried.
    """
    most = max(sample.requests_per_second for sample in tried.values())
    fast = [name for name, sample in tried.items() if sample.requests_per_second >= 0.98 * most]
    return min(fast, key=lambda name: tried[name].cpu_us)
