"""`trireme up`: reads what was asked for and runs it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from trireme_cli.console import person
from trireme_cli.failure import UsageFailure
from trireme_cli.up.ports import is_loopback
from trireme_cli.up.processes import STAGES, Options
from trireme_cli.up.run import run
from trireme_common.shown_url import shown_url

_MOST_REPLICAS = 64
_REDIS_SCHEMES = (
    "unix://",
    *(f"{tls}{form}://" for tls in ("redis", "rediss") for form in ("", "+sentinel", "+cluster")),
)

EXAMPLES = """Examples:

trireme up

trireme up --models ./models --http-port 0 --grpc-port 0 --json

trireme up --replicas inference=2,preprocess=1 --redis off

trireme up --host 0.0.0.0 --allow-anonymous"""


Models = Annotated[Path, typer.Option(help="The model repository.", envvar="TRIREME_MODELS_DIR")]
HttpPort = Annotated[
    int,
    typer.Option(
        help="Port of REST; 0 takes a free one.", min=0, max=65535, envvar="TRIREME_GATEWAY_HTTP_PORT"
    ),
]
GrpcPort = Annotated[
    int,
    typer.Option(
        help="Port of gRPC; 0 takes a free one.", min=0, max=65535, envvar="TRIREME_GATEWAY_GRPC_PORT"
    ),
]
Host = Annotated[str, typer.Option(help="Address the gateway binds.", envvar="TRIREME_GATEWAY_HOST")]
Replicas = Annotated[
    str, typer.Option(help="Processes per stage, as inference=2,preprocess=1.", metavar="STAGE=N,...")
]
Redis = Annotated[
    str,
    typer.Option(help="The result cache.", metavar="embedded|URL|off", envvar="TRIREME_GATEWAY_REDIS_URL"),
]
Workers = Annotated[
    int, typer.Option(help="Processes of the gateway.", min=1, max=256, envvar="TRIREME_GATEWAY_WORKERS")
]
AllowAnonymous = Annotated[
    bool,
    typer.Option(
        "--allow-anonymous",
        help="Serve callers without a key at an address that other machines reach.",
        envvar="TRIREME_GATEWAY_ALLOW_ANONYMOUS",
    ),
]
ReadyTimeout = Annotated[float, typer.Option(help="Seconds until everything must be ready.", min=0.1)]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON on standard output when ready.")]

MODELS_DIR = Path("models")


def up(
    models: Models = MODELS_DIR,
    http_port: HttpPort = 8080,
    grpc_port: GrpcPort = 8081,
    host: Host = "127.0.0.1",
    replicas: Replicas = "",
    redis: Redis = "embedded",
    workers: Workers = 1,
    allow_anonymous: AllowAnonymous = False,
    ready_timeout: ReadyTimeout = 60.0,
    json: Json = False,
) -> None:
    """Starts the platform on this machine: gateway, preprocess, inference, postprocess and a Redis.

    Services that die are started again. SIGINT and SIGTERM stop everything.
    """
    options = Options(models, host, http_port, grpc_port)
    options = replace(options, replicas=parse_replicas(replicas), redis=check_redis(redis), workers=workers)
    options = replace(
        options, allow_anonymous=allow_anonymous, ready_timeout_seconds=ready_timeout, json=json
    )
    check_exposure(options)
    asyncio.run(run(options, person()))


def parse_replicas(text: str) -> dict[str, int]:
    """`inference=2,preprocess=1` as a map. Raises UsageFailure for anything else."""
    replicas: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        stage, _, number = (piece.strip() for piece in part.partition("="))
        if stage not in STAGES:
            hint = "; for more gateway processes use --workers" if stage == "gateway" else ""
            raise UsageFailure(f"--replicas: {stage!r} is no stage; stages: {', '.join(STAGES)}{hint}")
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= _MOST_REPLICAS):
            raise UsageFailure(f"--replicas: {part!r} wants 1 to {_MOST_REPLICAS}, as in {stage}=2")
        if stage in replicas:
            raise UsageFailure(f"--replicas: {stage} stands twice")
        replicas[stage] = int(number)
    return replicas


def check_redis(value: str) -> str:
    """`embedded`, `off` or an address of a Redis. Raises UsageFailure for anything else."""
    if value in ("embedded", "off") or value.startswith(_REDIS_SCHEMES):
        return value
    raise UsageFailure(
        f"--redis: {shown_url(value)!r} is none of: embedded, off, redis://HOST:PORT, unix://PATH, "
        "redis+sentinel://..., redis+cluster://..., or one of these with rediss"
    )


def check_exposure(options: Options) -> None:
    """Raises UsageFailure if strangers could reach the platform and nobody has said that they may."""
    if not is_loopback(options.host) and not options.allow_anonymous:
        raise UsageFailure(
            f"--host {options.host} is reached by other machines, and callers need no key.\n"
            "Say --allow-anonymous if that is meant, or stay with --host 127.0.0.1."
        )
