"""Writes docs/configuration.md from the settings classes; with --check, compares instead."""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import get_args

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from trireme_common.settings import ServiceSettings, StageSettings
from trireme_gateway.settings import GatewaySettings
from trireme_inference.settings import InferenceSettings
from trireme_postprocess.settings import PostprocessSettings
from trireme_preprocess.settings import PreprocessSettings

TARGET = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
_HEAD = """# Configuration

Every setting is an environment variable. `make generate` writes this page from the settings classes.
A value that cannot be honoured stops the process with exit code 2 and a line that names the variable.
"""


def variable(cls: type[ServiceSettings], name: str, field: FieldInfo) -> str:
    """The environment variable of a field."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias) if alias else f"{cls.model_config.get('env_prefix', '')}{name}".upper()


def default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value == "":
        return "unset"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


@cache
def meanings(cls: type[BaseModel]) -> dict[str, str]:
    """The docstring under each field, of a class and those it is made from.

    Read here, because pydantic would read the source again at every start of a service.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, BaseModel) and base.__module__.startswith("trireme_"):
            body = ast.parse(inspect.getsource(base)).body[0].body  # type: ignore[attr-defined]
            for field, text in pairwise(body):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    found[field.target.id] = text.value.value  # type: ignore[attr-defined, union-attr]
    return found


def row(cls: type[ServiceSettings], name: str, field: FieldInfo) -> str:
    meaning = " ".join(meanings(cls)[name].split()).replace("|", "\\|")
    choices = get_args(field.annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        meaning += " One of " + ", ".join(f"`{choice}`" for choice in choices) + "."
    return f"| `{variable(cls, name, field)}` | {default(field)} | {meaning} |"


def section(title: str, cls: type[ServiceSettings], names: Sequence[str]) -> str:
    rows = [row(cls, name, cls.model_fields[name]) for name in names]
    return "\n".join([f"## {title}", "", "| variable | default | meaning |", "|---|---|---|", *rows, ""])


def render() -> str:
    """The whole page."""
    shared = list(ServiceSettings.model_fields)
    repository = [name for name in StageSettings.model_fields if name.startswith("models_")]
    sections = [
        section("All services", ServiceSettings, shared),
        section("Preprocess, inference and postprocess", StageSettings, repository),
    ]
    for title, cls in (
        ("Gateway", GatewaySettings),
        ("Preprocess", PreprocessSettings),
        ("Inference", InferenceSettings),
        ("Postprocess", PostprocessSettings),
    ):
        own = [name for name in cls.model_fields if name not in (*shared, *repository)]
        sections.append(section(title, cls, own))
    return _HEAD + "\n" + "\n".join(sections)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if the committed page is not fresh")
    page = render()
    if parser.parse_args().check:
        if TARGET.is_file() and TARGET.read_text() == page:
            return 0
        print("docs/configuration.md is stale, run `make generate`", file=sys.stderr)
        return 1
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
