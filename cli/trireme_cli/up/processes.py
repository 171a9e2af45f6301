"""The table of what `trireme up` starts: which programs, with which environment, stopped in which order."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from trireme_cli.failure import Failure
from trireme_cli.up import redis_server
from trireme_cli.up.ports import PortAllocator, join

STAGES = ("preprocess", "inference", "postprocess")
STAGE_HOST = "127.0.0.1"


class StopOrder(IntEnum):
    """The gateway takes no new requests before the stages lose what they are working on."""

    GATEWAY = 1
    STAGE = 2
    STORE = 3


@dataclass(frozen=True)
class Program:
    """One process to start and to keep running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    address: str
    """Where it listens: `host:port`, or `unix:PATH`."""
    stop_order: StopOrder
    log_file: Path | None = None
    """Where it writes, if not to standard error."""


@dataclass(frozen=True)
class Options:
    """What the person asked for, checked."""

    models_dir: Path
    host: str = "127.0.0.1"
    http_port: int = 8080
    grpc_port: int = 8081
    replicas: Mapping[str, int] | None = None
    redis: str = "embedded"
    workers: int = 1
    allow_anonymous: bool = False
    ready_timeout_seconds: float = 60.0
    json: bool = False


@dataclass(frozen=True)
class Platform:
    """What is to run: the programs and where the whole is reached."""

    programs: tuple[Program, ...]
    host: str
    http_port: int
    grpc_port: int
    redis_url: str | None


def require_services() -> None:
    """Raises Failure if a service is not installed in this Python."""
    missing = [name for name in ("gateway", *STAGES) if importlib.util.find_spec(f"trireme_{name}") is None]
    if missing:
        raise Failure(
            f"not installed in {sys.prefix}: {', '.join(f'trireme-{name}' for name in missing)}.\n"
            "`make run` installs all that running needs; or start `trireme` from the environment it made."
        )


def plan(options: Options, environment: Mapping[str, str], directory: Path, ports: PortAllocator) -> Platform:
    """Everything to start. `directory` is private to the platform. Raises Failure for a port in use."""
    http_port = ports.reserve(options.host, options.http_port, "--http-port")
    grpc_port = ports.reserve(options.host, options.grpc_port, "--grpc-port")
    shared = {**environment, "TRIREME_MODELS_DIR": str(options.models_dir.resolve())}
    stages = [
        _stage(stage, replica, shared, ports)
        for stage in STAGES
        for replica in range((options.replicas or {}).get(stage, 1))
    ]
    redis_url = {"embedded": redis_server.url(directory), "off": None}.get(options.redis, options.redis)
    gateway = _gateway(options, shared, stages, (http_port, grpc_port), redis_url)
    redis = [_redis(environment, directory)] if options.redis == "embedded" else []
    return Platform((*redis, *stages, gateway), options.host, http_port, grpc_port, redis_url)


def stage_of(program: Program) -> str:
    """`inference` for `inference-1`."""
    return program.name.rsplit("-", 1)[0]


def _service_command(service: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"trireme_{service}")


def _stage(stage: str, replica: int, shared: Mapping[str, str], ports: PortAllocator) -> Program:
    port = ports.free(STAGE_HOST)
    prefix = f"TRIREME_{stage.upper()}"
    environment = {**shared, f"{prefix}_HOST": STAGE_HOST, f"{prefix}_PORT": str(port)}
    if replica > 0:
        # One metrics port cannot serve two replicas.
        environment.pop(f"{prefix}_METRICS_PORT", None)
    return Program(
        f"{stage}-{replica}", _service_command(stage), environment, join(STAGE_HOST, port), StopOrder.STAGE
    )


def _gateway(
    options: Options,
    shared: Mapping[str, str],
    stages: list[Program],
    ports: tuple[int, int],
    redis_url: str | None,
) -> Program:
    environment = {
        **shared,
        "TRIREME_GATEWAY_HOST": options.host,
        "TRIREME_GATEWAY_HTTP_PORT": str(ports[0]),
        "TRIREME_GATEWAY_GRPC_PORT": str(ports[1]),
        "TRIREME_GATEWAY_WORKERS": str(options.workers),
    }
    for stage in STAGES:
        addresses = [program.address for program in stages if stage_of(program) == stage]
        environment[f"TRIREME_GATEWAY_{stage.upper()}_ADDRESSES"] = ",".join(addresses)
    environment.pop("TRIREME_GATEWAY_REDIS_URL", None)
    if redis_url is not None:
        environment["TRIREME_GATEWAY_REDIS_URL"] = redis_url
    if options.allow_anonymous:
        environment["TRIREME_GATEWAY_ALLOW_ANONYMOUS"] = "true"
    return Program(
        "gateway", _service_command("gateway"), environment, join(options.host, ports[0]), StopOrder.GATEWAY
    )


def _redis(environment: Mapping[str, str], directory: Path) -> Program:
    return Program(
        "redis",
        redis_server.command(redis_server.find_server(), directory),
        environment,
        f"unix:{redis_server.socket_path(directory)}",
        StopOrder.STORE,
        redis_server.log_path(directory),
    )
