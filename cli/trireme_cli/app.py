"""All commands of `trireme`, and the one place where a failure becomes an exit code."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer

from trireme_cli import __version__
from trireme_cli.console import report_failure, write_line
from trireme_cli.failure import EXIT_FAILURE, Failure
from trireme_cli.lab_commands import add_lab_commands
from trireme_cli.loadtest.command import EXAMPLES as LOADTEST_EXAMPLES
from trireme_cli.loadtest.command import loadtest
from trireme_cli.models.command import create_models_app
from trireme_cli.predict.command import EXAMPLES as PREDICT_EXAMPLES
from trireme_cli.predict.command import predict
from trireme_cli.up.command import EXAMPLES as UP_EXAMPLES
from trireme_cli.up.command import up

_INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code; nobody sees a traceback who has not asked for it."""
    try:
        create_app()(list(arguments), prog_name="trireme")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else EXIT_FAILURE
        return EXIT_FAILURE if code == _INTERRUPTED else code
    except Failure as failure:
        report_failure(str(failure))
        return failure.exit_code
    except Exception as error:
        if os.environ.get("TRIREME_DEBUG"):
            raise
        report_failure(
            f"this should not have happened: {type(error).__name__}: {error}\n"
            "TRIREME_DEBUG=1 shows where; please report it."
        )
        return EXIT_FAILURE
    return 0


def create_app() -> typer.Typer:
    """The commands, without running any."""
    app = typer.Typer(
        name="trireme",
        help="Serve machine-learning models: start the platform, ask a model, test its speed, look around.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.command(epilog=UP_EXAMPLES)(up)
    app.command(epilog=PREDICT_EXAMPLES)(predict)
    app.command(epilog=LOADTEST_EXAMPLES)(loadtest)
    app.add_typer(create_models_app())
    add_lab_commands(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        write_line(f"trireme {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and end.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass
