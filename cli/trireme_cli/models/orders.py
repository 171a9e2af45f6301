"""`trireme models load | unload | rollback`: orders to a running platform."""

from __future__ import annotations

import asyncio
import json as json_format
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import httpx
import typer

from trireme_cli.console import results, say, write_line
from trireme_cli.failure import Failure, UsageFailure
from trireme_cli.platform_client import DEFAULT_URL, PlatformClient, connect, problem_of

T = TypeVar("T")

Name = Annotated[str, typer.Argument(help="Name of the model.", show_default=False)]
Url = Annotated[str, typer.Option(help="Where the platform listens.", envvar="TRIREME_URL")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds to wait until every replica has done so.")]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON on standard output.")]

LOAD_EXAMPLES = """Examples:

trireme models load digits

trireme models load digits --url http://127.0.0.1:9000 --json"""

UNLOAD_EXAMPLES = """Examples:

trireme models unload digits"""

ROLLBACK_EXAMPLES = """Examples:

trireme models rollback digits

trireme models rollback digits 3

trireme models rollback digits --lift"""


def load_model(name: Name, url: Url = DEFAULT_URL, timeout: Timeout = 60.0, json: Json = False) -> None:
    """Loads a model, or loads it again: new versions are looked for, what had failed is tried again, an
    unload or a rollback is lifted."""
    version = _run(url, timeout, lambda client: _load(client, name))
    _tell(json, f"{name}: version {version} answers", {"name": name, "state": "READY", "version": version})


def unload_model(name: Name, url: Url = DEFAULT_URL, timeout: Timeout = 60.0, json: Json = False) -> None:
    """Unloads a model until it is loaded, through restarts too."""
    _run(url, timeout, lambda client: _ask(client, "POST", name, "unload"))
    _tell(json, f"{name}: unloaded", {"name": name, "state": "UNAVAILABLE", "version": ""})


def rollback_model(
    name: Name,
    version: Annotated[
        int | None, typer.Argument(min=0, help="The newest good one before the current, if left out.")
    ] = None,
    lift: Annotated[bool, typer.Option("--lift", help="Let the model's own policy decide again.")] = False,
    url: Url = DEFAULT_URL,
    timeout: Timeout = 60.0,
    json: Json = False,
) -> None:
    """Puts an older version back on every replica, through restarts, until that is lifted."""
    if lift and version is not None:
        raise UsageFailure("--lift takes no version: the model's own policy decides again")
    body = {"version": str(version)} if version is not None else {}
    answer = _run(
        url,
        timeout,
        lambda client: (
            _ask(client, "DELETE", name, "rollback") if lift else _ask(client, "POST", name, "rollback", body)
        ),
    )
    found = str(answer.get("version", ""))
    told = {"name": name, "state": "READY", "version": found, "rolled_back": not lift}
    _tell(json, f"{name}: version {found} answers" + ("" if lift else ", until the rollback is lifted"), told)


def _run(url: str, timeout_seconds: float, ask: Callable[[PlatformClient], Awaitable[T]]) -> T:
    async def run() -> T:
        async with connect(url, timeout_seconds) as client:
            return await ask(client)

    return asyncio.run(run())


async def _load(client: PlatformClient, name: str) -> str:
    await _ask(client, "POST", name, "load")
    models = (await client.health()).get("models") or {}
    return str(models.get(name.removesuffix(".inference"), {}).get("version", ""))


async def _ask(
    client: PlatformClient, method: str, name: str, what: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    path = f"/v2/repository/models/{quote(name, safe='')}/{what}"
    response = await client.request(method, path, **({"json": body} if body is not None else {}))
    if response.status_code == httpx.codes.METHOD_NOT_ALLOWED:
        raise Failure(
            f"what listens at {client.url} takes no such order; it may be an older version of Trireme"
        )
    if not response.is_success:
        raise Failure(problem_of(response)["detail"])
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise Failure(f"what listens at {client.url} is no Trireme gateway: its answer is no JSON object")
    return answer


def _tell(json: bool, line: str, document: dict[str, Any]) -> None:
    if json:
        write_line(json_format.dumps(document, ensure_ascii=False))
    else:
        say(results(), line)
