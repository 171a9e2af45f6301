"""P1: the platform as it ships and every framework, asked the same texts through the whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.answers import is_answered
from benchmarks.driver import Prepared, arrange
from benchmarks.exchanges import Exchanges
from benchmarks.peers.catalog import PEERS, Peer, Setting, environment, make_setup, text_settings
from benchmarks.peers.environments import PINS, PeerMissingError
from benchmarks.peers.running import Launch, launched
from benchmarks.peers.single_file import read_pipeline
from benchmarks.repository import make_repository
from benchmarks.servers import (
    ANCHOR,
    SINGLE_FILE,
    TRIREME,
    Candidate,
    RunningServer,
    ServerError,
    anchor,
    platform,
    single_file,
)
from benchmarks.workloads import WORKLOADS, Questions, Workload, ask_oracle

OTHERS = (SINGLE_FILE, *PINS)
WORKLOAD = replace(
    next(workload for workload in WORKLOADS if workload.name == "trivial"),
    name="peers",
    note="the trivial model, a text a request through preprocess, model and postprocess",
    servers=(ANCHOR, TRIREME, *OTHERS),
)


@dataclass(frozen=True)
class Framework:
    """A framework that serves the pipeline of `model` at one setting."""

    peer: Peer
    model: Path
    chosen: Setting
    first: bytes
    """The request that is sent until it is answered."""

    @property
    def name(self) -> str:
        return self.peer.name

    @property
    def setting(self) -> str:
        return str(self.chosen)

    @contextmanager
    def running(self, inherited: Mapping[str, str], log: Path) -> Iterator[RunningServer]:
        """The framework from its readiness until the end of the block. Raises ServerError."""
        setup = make_setup(self.model, "texts", self.chosen)
        try:
            command = self.peer.command()
        except PeerMissingError as error:
            raise ServerError(f"{self.name} {error}") from error
        launch = Launch(
            self.name,
            command,
            environment(setup, inherited),
            log.parent / f"{self.name}.home",
            lambda: is_answered(setup.port, self.first),
        )
        with launched(launch, log) as pid:
            yield RunningServer(pid, setup.port)


def prepare(workload: Workload, servers: Sequence[str], payloads: int, home: Path) -> Prepared:
    """Raises OSError, ValueError, SpecError or TriremeError where the model cannot be served."""
    repository = make_repository(workload.model, home / "models")
    _, oracle = read_pipeline(repository)
    questions = ask_oracle(workload, oracle, payloads)
    model = repository / workload.model.name
    asked = {peer.name: exchanges_of(peer, model.name, questions) for peer in PEERS if peer.name in PINS}
    every = lineup(repository, model, {name: asked[name].exchanges[0].request for name in asked})
    return arrange(
        {name: every[name] for name in servers}, lambda name: asked.get(name) or questions.of(name), home
    )


def lineup(repository: Path, model: Path, first: Mapping[str, bytes]) -> dict[str, Sequence[Candidate]]:
    """Every server with the settings that are tried for it: ours has none but what it finds for itself.

    `repository` holds `model` alone; `first` has a request for each framework.
    """
    frameworks = {
        peer.name: [Framework(peer, model, setting, first[peer.name]) for setting in text_settings()]
        for peer in PEERS
        if peer.name in first
    }
    return {
        ANCHOR: [anchor()],
        TRIREME: [platform(TRIREME, repository)],
        SINGLE_FILE: single_file(repository),
        **frameworks,
    }


def settings_tried(servers: Sequence[str]) -> dict[str, int]:
    """How many settings each server has."""
    every = lineup(Path(), Path(), dict.fromkeys(PINS, b""))
    return {name: len(every[name]) for name in servers}


def exchanges_of(peer: Peer, model: str, questions: Questions) -> Exchanges:
    """The texts of `questions` as `peer` takes them, with the same right answers."""
    # What the anchor is to echo is the text itself.
    pairs = zip(questions.model.exchanges, questions.echo.exchanges, strict=True)
    exchanges = tuple(
        replace(answered, request=peer.texts(model, str(echoed.expected))) for answered, echoed in pairs
    )
    return Exchanges(peer.label, exchanges, shares=peer.shares)
