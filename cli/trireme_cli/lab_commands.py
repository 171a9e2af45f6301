"""`trireme export` and `trireme optimize`: commands of the lab, which has the frameworks that they need.

The options stand in the lab's own modules, once; this process becomes theirs, so signals and the exit
code are theirs too.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence

import typer

from trireme_cli.failure import Failure

MODULES = {"export": "trireme_lab.conversion", "optimize": "trireme_lab.optimization"}
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

Become = Callable[[str, list[str]], object]


def add_lab_commands(app: typer.Typer) -> None:
    """Adds both; all their arguments are passed on as they are."""
    passed_on = {"context_settings": _PASSED_ON, "add_help_option": False}
    app.command("export", **passed_on)(export)  # type: ignore[arg-type]
    app.command("optimize", **passed_on)(optimize)  # type: ignore[arg-type]


def export(context: typer.Context) -> None:
    """Exports a model of another framework to a checked ONNX version of the repository."""
    run_module("export", context.args)


def optimize(context: typer.Context) -> None:
    """Makes quantised and optimised variants of a model, measures them, publishes the best."""
    run_module("optimize", context.args)


def run_module(command: str, arguments: Sequence[str], become: Become = os.execv) -> None:
    """Becomes the module of a command. Raises Failure where the lab is not installed."""
    if importlib.util.find_spec("trireme_lab") is None:
        raise Failure(
            f"`trireme {command}` needs the lab, which brings torch and is no part of what serving needs.\n"
            "In a checkout: make install; elsewhere install trireme-lab into this Python."
        )
    sys.stdout.flush()
    sys.stderr.flush()
    become(sys.executable, [sys.executable, "-m", MODULES[command], *arguments])
