"""`trireme models list | show | check`, and the group with the orders."""

from __future__ import annotations

import asyncio
import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from trireme_cli.console import person, results, write_line
from trireme_cli.failure import EXIT_FAILURE, Failure
from trireme_cli.models import orders, render
from trireme_cli.models.checkup import Checkup
from trireme_cli.models.served import connected_stages, served_models
from trireme_cli.models.stored import describe, read_repository, stored_models
from trireme_cli.platform_client import DEFAULT_URL, connect

_TIMEOUT_SECONDS = 10.0

ModelsDir = Annotated[
    Path, typer.Option("--models", help="The model repository.", envvar="TRIREME_MODELS_DIR")
]
Json = Annotated[bool, typer.Option("--json", help="One line of JSON on standard output.")]

LIST_EXAMPLES = """Examples:

trireme models list

trireme models list --url http://127.0.0.1:9000 --json

trireme models list --models ./models"""

SHOW_EXAMPLES = """Examples:

trireme models show sentiment-zh

trireme models show digits --models ./models --json"""

CHECK_EXAMPLES = """Examples:

trireme models check

trireme models check ./models --json"""


def create_models_app() -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(
        name="models",
        help="What is served, what stands in the repository; load, unload, roll back.",
        no_args_is_help=True,
    )
    app.command("list", epilog=LIST_EXAMPLES)(list_models)
    app.command("show", epilog=SHOW_EXAMPLES)(show_model)
    app.command("check", epilog=CHECK_EXAMPLES)(check_models)
    app.command("load", epilog=orders.LOAD_EXAMPLES)(orders.load_model)
    app.command("unload", epilog=orders.UNLOAD_EXAMPLES)(orders.unload_model)
    app.command("rollback", epilog=orders.ROLLBACK_EXAMPLES)(orders.rollback_model)
    return app


def list_models(
    url: Annotated[str, typer.Option(help="Where the platform listens.", envvar="TRIREME_URL")] = DEFAULT_URL,
    models: Annotated[
        Path | None, typer.Option(help="List this repository instead of a platform.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Lists the models of a running platform, or of a repository on disk."""
    found: dict[str, Any]
    found = asyncio.run(_served(url)) if models is None else {"models": stored_models(models)}
    if json:
        _write_json(found)
        return
    render.show_list(results(), found["models"])
    if "stages" in found:
        render.show_stages(results(), found["stages"])


async def _served(url: str) -> dict[str, Any]:
    async with connect(url, _TIMEOUT_SECONDS) as client:
        return {"models": await served_models(client), "stages": await connected_stages(client)}


def show_model(
    name: Annotated[str, typer.Argument(help="Name of the model.", show_default=False)],
    models: ModelsDir = Path("models"),
    json: Json = False,
) -> None:
    """Shows one model of the repository: its spec, versions, steps, digests and measured quality."""
    model = describe(models, name)
    if json:
        _write_json(model)
    else:
        render.show_model(results(), model)


def check_models(
    directory: Annotated[
        Path, typer.Argument(help="The model repository.", envvar="TRIREME_MODELS_DIR", metavar="[DIR]")
    ] = Path("models"),
    json: Json = False,
) -> None:
    """Checks the whole repository: model.yaml, versions, digests, and what each stage makes of it.

    Exit code 1 if anything is bad.
    """
    found = read_repository(directory)
    if not found.versions and not found.broken:
        raise Failure(f"the model repository {directory} holds no model")
    checkup = Checkup(found)
    console = person()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("checking", total=checkup.steps())

        def advance(what: str) -> None:
            progress.update(bar, advance=1, description=what)

        checkup.check_digests(advance)
        checkup.check_stages(directory, advance)
    if json:
        _write_json(checkup.report())
    else:
        render.show_checkup(results(), checkup)
    if not checkup.ok:
        raise typer.Exit(EXIT_FAILURE)


def _write_json(value: object) -> None:
    write_line(json_format.dumps(value, ensure_ascii=False))
