"""Servers under measurement: how each is started, found ready, and stopped."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import orjson

from benchmarks.peers.catalog import TUNED

_READY_SECONDS = 90.0
_STOP_SECONDS = 45.0
_TAIL_LINES = 8


class ServerError(Exception):
    """A server did not start, or ended by itself."""


@dataclass(frozen=True)
class RunningServer:
    """`pid` is the root of its process tree."""

    pid: int
    port: int


class Candidate(Protocol):
    """One server at one of the settings that are tried for it."""

    @property
    def name(self) -> str: ...

    @property
    def setting(self) -> str: ...

    def running(self, environment: Mapping[str, str], log: Path) -> AbstractContextManager[RunningServer]:
        """The server from its readiness until the end of the block. Raises ServerError."""


@dataclass(frozen=True)
class ServerSpec:
    """A server whose command prints a line of JSON with `http` when it is ready."""

    name: str
    setting: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def running(self, environment: Mapping[str, str], log: Path) -> Iterator[RunningServer]:
        """The server from its readiness until the end of the block. Raises ServerError."""
        with log.open("ab") as errors:
            process = subprocess.Popen(
                self.command,
                env={**environment, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
            try:
                yield RunningServer(process.pid, _wait_until_ready(process, log))
                if process.poll() is not None:
                    raise ServerError(f"{self.name} ended by itself, {process.returncode}: {_tail(log)}")
            finally:
                _stop(process)


ANCHOR, SINGLE_FILE, TRIREME = "anchor", "single-file", "trireme"
UNCOALESCED, IN_PROCESS = "trireme-uncoalesced", "trireme-in-process"
CONSTANT, MEMORY_HIT, REDIS_HIT = "constant", "memory-hit", "redis-hit"
ONE_MODEL, MANY_MODELS, MANY_REPLICAS = "1-model", "64-models", "8-replicas"
MISSES, DUPLICATES = "misses", "duplicates"
BINARY, BASE64 = "binary", "base64"
CROWDS = {ONE_MODEL: 1, MANY_MODELS: 64, MANY_REPLICAS: 1}
"""Models in the repository of each server whose growth is measured."""
_REPLICAS = 8
LIKE_TRIREME = frozenset({UNCOALESCED, IN_PROCESS})
"""Servers that are measured at whatever setting `trireme` is: they differ from it in one thing only."""
_THREADS = (1, 2, 4)
_INSTANCES = (1, 2)


def candidates(repositories: Mapping[int, Path]) -> dict[str, list[ServerSpec]]:
    """The servers with every setting that is tried for them. `repositories` holds the same model,
    by its number of instances."""
    uncoalesced = {"TRIREME_GATEWAY_COALESCE": "false"}
    no_memory = {"TRIREME_GATEWAY_CACHE_MEMORY_BYTES": "0"}
    # The cache is on, but forgets an answer before its request comes round again.
    forgetful = {"TRIREME_GATEWAY_CACHE_MEMORY_BYTES": "4096"}
    constant = _module("benchmarks.peers.in_process", "--models", str(repositories[1]), "--answers=constant")
    return {
        ANCHOR: [anchor()],
        SINGLE_FILE: single_file(repositories[1]),
        TRIREME: [platform(TRIREME, repositories[number], number) for number in _INSTANCES],
        UNCOALESCED: [
            platform(UNCOALESCED, repositories[number], number, environment=uncoalesced)
            for number in _INSTANCES
        ],
        IN_PROCESS: [_in_process(repositories[number], number) for number in _INSTANCES],
        CONSTANT: [ServerSpec(CONSTANT, "", constant)],
        MEMORY_HIT: [platform(MEMORY_HIT, repositories[1], 1)],
        REDIS_HIT: [platform(REDIS_HIT, repositories[1], 1, redis="embedded", environment=no_memory)],
        MISSES: [platform(MISSES, repositories[1], 1, environment=forgetful)],
        DUPLICATES: [platform(DUPLICATES, repositories[1], 1, environment=forgetful)],
        BINARY: [platform(BINARY, repositories[1], 1)],
        BASE64: [platform(BASE64, repositories[1], 1)],
        **{name: [_crowd(name, crowd_of(repositories[1], name))] for name in CROWDS},
    }


def anchor() -> ServerSpec:
    """Raw ASGI, which has nothing to set."""
    return ServerSpec(ANCHOR, "", _module("benchmarks.peers.anchor"))


def single_file(repository: Path) -> list[ServerSpec]:
    """One FastAPI file with every number of threads that is tried."""
    command = _module("benchmarks.peers.single_file", "--models", str(repository), "--threads")
    return [
        ServerSpec(SINGLE_FILE, _counted(threads, "thread"), (*command, str(threads))) for threads in _THREADS
    ]


def crowd_of(repository: Path, server: str) -> Path:
    """The repository of a server whose growth is measured, beside that of one model."""
    return repository.parent / f"crowd-of-{CROWDS[server]}"


def _crowd(name: str, repository: Path) -> ServerSpec:
    default = {"TRIREME_GATEWAY_DEFAULT_TEXT_MODEL": "trivial"}
    spec = platform(name, repository, 1, environment=default)
    if name != MANY_REPLICAS:
        return spec
    return replace(spec, command=(*spec.command, "--replicas", f"inference={_REPLICAS}"))


def settings_tried(servers: Sequence[str]) -> dict[str, int]:
    """How many settings `candidates` has of each."""
    every = candidates(dict.fromkeys(instance_counts(), Path()))
    return {name: len(every[name]) for name in servers}


def instance_counts() -> tuple[int, ...]:
    """Numbers of instances that `candidates` wants repositories for."""
    return _INSTANCES


def platform(
    name: str,
    repository: Path,
    instances: int | None = None,
    *,
    redis: str = "off",
    environment: Mapping[str, str] | None = None,
) -> ServerSpec:
    """`trireme up`. `instances` is what the repository's models say; None where they say nothing, and the
    platform is left to tune itself."""
    ports = ("--http-port", "0", "--grpc-port", "0")
    command = _module("trireme_cli", "up", "--models", str(repository), *ports, "--redis", redis, "--json")
    if instances is None:
        return ServerSpec(name, str(TUNED), command, dict(environment or {}))
    variables = {**_threads(instances), **(environment or {})}
    return ServerSpec(name, _counted(instances, "instance"), command, variables)


def _in_process(repository: Path, instances: int) -> ServerSpec:
    command = _module("benchmarks.peers.in_process", "--models", str(repository))
    return ServerSpec(IN_PROCESS, _counted(instances, "instance"), command, _threads(instances))


def _threads(instances: int) -> dict[str, str]:
    """The instances share these threads: one a run, as the single-file server has it."""
    return {"TRIREME_INFERENCE_THREADS": str(instances)}


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' if number > 1 else ''}"


def _module(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *arguments)


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> int:
    assert process.stdout is not None
    line, until = b"", time.monotonic() + _READY_SECONDS
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, until - time.monotonic())):
                raise ServerError(f"not ready after {_READY_SECONDS:g} s: {_tail(log)}")
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                raise ServerError(f"ended before it was ready: {_tail(log)}")
            line += piece
    port: int | None = urlsplit(str(orjson.loads(line)["http"])).port
    if port is None:
        raise ServerError(f"no port in {line!r}")
    return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _tail(log: Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    return " | ".join(lines[-_TAIL_LINES:])[-2000:] or "it said nothing"
