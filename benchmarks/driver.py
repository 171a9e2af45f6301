"""Rounds: each server started alone, checked, warmed up, measured and stopped; then the next one.

A B A B: a round visits every server once, so that both sides of a ratio met the same machine.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.answers import check_answers
from benchmarks.exchanges import Exchanges
from benchmarks.load.closed_loop import WrongAnswerError
from benchmarks.peers.single_file import read_pipeline
from benchmarks.repository import make_crowd, make_repository
from benchmarks.results import ServerResult, WorkloadResult
from benchmarks.servers import (
    CROWDS,
    LIKE_TRIREME,
    TRIREME,
    Candidate,
    RunningServer,
    ServerError,
    candidates,
    crowd_of,
    instance_counts,
)
from benchmarks.window import Window, measure
from benchmarks.workloads import Workload, ask_oracle
from trireme_cli.loadtest.http import ProtocolError
from trireme_common.errors import SpecError, TriremeError

BUSIEST = 64
_TRIAL = Window(warm_up_seconds=1.0, seconds=1.0)
_CASE_FAILURES = (ServerError, WrongAnswerError, ProtocolError, OSError, subprocess.SubprocessError)

Tell = Callable[[str], None]
"""Called with what is about to be measured, once a measurement."""


@dataclass(frozen=True)
class Pace:
    """How much is measured."""

    rounds: int
    seconds: float
    warm_up_seconds: float
    payloads: int
    levels: tuple[int, ...] = (1, 16, BUSIEST)
    """Connections, of those that the workload asks for."""
    trials: bool = True
    """Whether each server's settings are tried first; else each has its first one."""

    @property
    def window(self) -> Window:
        return Window(self.warm_up_seconds, self.seconds)

    def of(self, workload: Workload) -> list[int]:
        return [level for level in workload.levels if level in self.levels]


@dataclass(frozen=True)
class Prepared:
    """A workload's files: repositories, and the requests with their right answers."""

    servers: Mapping[str, Sequence[Candidate]]
    files: Mapping[str, Path]
    exchanges: Mapping[str, Exchanges]


Prepare = Callable[[Workload, Sequence[str], int, Path], Prepared]
"""Prepares a workload for the servers named, with about so many payloads, in a folder."""


def prepare(workload: Workload, servers: Sequence[str], payloads: int, home: Path) -> Prepared:
    """The platform in its variants, and the single-file server.

    Raises OSError, ValueError, SpecError or TriremeError where the model cannot be served.
    """
    repositories = {
        count: make_repository(workload.model, home / f"models-{count}", count, cached=workload.cached)
        for count in instance_counts()
    }
    crowds = {crowd_of(repositories[1], name): CROWDS[name] for name in servers if name in CROWDS}
    for repository, models in crowds.items():
        make_crowd(workload.model, repository, models)
    _, oracle = read_pipeline(repositories[1])
    questions = ask_oracle(workload, oracle, min(payloads, workload.payloads or payloads))
    tried = candidates(repositories)
    return arrange({name: tried[name] for name in servers}, questions.of, home)


def arrange(
    servers: Mapping[str, Sequence[Candidate]], exchanges_of: Callable[[str], Exchanges], home: Path
) -> Prepared:
    """Writes what each server is asked into `home`."""
    exchanges = {name: exchanges_of(name) for name in servers}
    files = {name: home / f"{name}.json" for name in servers}
    for name, file in files.items():
        exchanges[name].write(file)
    return Prepared(servers, files, exchanges)


def steps(pace: Pace, workload: Workload, settings: Mapping[str, int]) -> int:
    """How often a driver tells of a workload, where nothing fails. `settings` are how many each of its
    servers has."""
    tried = sum(number for name, number in settings.items() if are_tried(pace, name, number))
    return 1 + tried + len(settings) * pace.rounds * len(pace.of(workload))


def are_tried(pace: Pace, server: str, settings: int) -> bool:
    """Whether the settings of a server are tried before the rounds."""
    return pace.trials and settings > 1 and server not in LIKE_TRIREME


class Driver:
    """Measures workloads one after the other. `directory` takes repositories, requests and logs."""

    def __init__(
        self,
        pace: Pace,
        directory: Path,
        environment: Mapping[str, str],
        tell: Tell,
        prepare: Prepare = prepare,
    ) -> None:
        self._pace = pace
        self._directory = directory
        self._environment = environment
        self._tell = tell
        self._prepare = prepare

    def run(self, workload: Workload, servers: Sequence[str], result: WorkloadResult) -> None:
        """Fills `result`, also with what failed."""
        self._tell(f"{workload.name}: asking the oracle")
        try:
            home = self._directory / workload.name
            prepared = self._prepare(workload, servers, self._pace.payloads, home)
        except (OSError, ValueError, SpecError, TriremeError) as error:
            result.failure = f"{type(error).__name__}: {error}"
            return
        result.servers.update({name: ServerResult() for name in servers})
        chosen: dict[str, Candidate] = {}
        for name in servers:
            self._guard(result.servers[name], self._choose, prepared, name, result.servers[name], chosen)
        for number in range(1, self._pace.rounds + 1):
            for name, spec in chosen.items():
                if not result.servers[name].failure:
                    title = f"{workload.name}, round {number}, {name}"
                    self._guard(
                        result.servers[name],
                        self._round,
                        workload,
                        prepared,
                        spec,
                        result.servers[name],
                        title,
                    )

    def _choose(
        self, prepared: Prepared, name: str, result: ServerResult, chosen: dict[str, Candidate]
    ) -> None:
        """The setting that answers most requests at the most connections, or the one `trireme` has."""
        specs = prepared.servers[name]
        if name in LIKE_TRIREME and TRIREME in chosen:
            specs = [spec for spec in specs if spec.setting == chosen[TRIREME].setting]
        for spec in specs if are_tried(self._pace, name, len(specs)) else ():
            self._tell(f"{name}: trying {spec.setting}")
            with self._started(prepared, spec) as server:
                sample = measure(prepared.files[name], server, BUSIEST, _TRIAL)
            result.tried[spec.setting] = sample.requests_per_second
        best = max(specs, key=lambda spec: result.tried.get(spec.setting, 0.0))
        result.setting = best.setting
        chosen[name] = best

    def _round(
        self, workload: Workload, prepared: Prepared, spec: Candidate, result: ServerResult, title: str
    ) -> None:
        with self._started(prepared, spec) as server:
            for connections in self._pace.of(workload):
                self._tell(f"{title}, {connections} connection{'s' if connections > 1 else ''}")
                sample = measure(prepared.files[spec.name], server, connections, self._pace.window)
                result.add(connections, sample)

    @contextmanager
    def _started(self, prepared: Prepared, spec: Candidate) -> Iterator[RunningServer]:
        """The server alone on the machine, its answers checked against the oracle's."""
        with spec.running(self._environment, self._directory / f"{spec.name}.log") as server:
            check_answers(server.port, prepared.exchanges[spec.name])
            yield server

    def _guard(self, result: ServerResult, step: Callable[..., None], *arguments: object) -> None:
        """Runs a step of one server; what goes wrong there fails that case and no other."""
        try:
            step(*arguments)
        except _CASE_FAILURES as error:
            result.fail(f"{type(error).__name__}: {error}")
