"""The command line of `python -m benchmarks.inference`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.inference.asking import BUSIEST
from benchmarks.inference.driver import Pace
from benchmarks.inference.models import MODELS
from benchmarks.inference.servers import OTHERS, OURS

DEFAULT_MODELS = ("encoder", "cnn")
"""A text model and an image model; with them a run stays under 40 minutes on 2 cores."""
FULL = Pace(3, 2.5, 0.7, 1.5, 0.7, 512)
_QUICK = Pace(1, 1.0, 0.3, 1.0, 0.3, 64, levels=(1, BUSIEST), shares=(0.8,), trials=1, raw_batches=(1, 4, 32))


@dataclass(frozen=True)
class Options:
    """What was asked for."""

    pace: Pace
    models: tuple[str, ...]
    servers: tuple[str, ...]
    json: Path | None
    write: bool
    command: str


def read_options(arguments: Sequence[str]) -> Options:
    """Exits with code 2 and a usage line for anything that cannot be done."""
    parser = _parser()
    given = parser.parse_args(arguments)
    known = tuple(model.name for model in MODELS)
    models = chosen(parser, "--models", given.models, known, DEFAULT_MODELS)
    peers = chosen(parser, "--peers", given.peers, OTHERS, OTHERS)
    pace = _QUICK if given.quick else FULL
    if given.rounds is not None:
        if given.rounds < 1:
            parser.error("--rounds must be positive")
        pace = Pace(**{**vars(pace), "rounds": given.rounds})
    command = shlex.join(["python", "-m", "benchmarks.inference", *arguments])
    servers = (*OURS, *(name for name in OTHERS if name in peers))
    return Options(pace, models, servers, given.json, given.write, command)


def chosen(
    parser: argparse.ArgumentParser,
    option: str,
    given: str | None,
    known: tuple[str, ...],
    default: tuple[str, ...],
) -> tuple[str, ...]:
    """Names of a list with commas, or all; exits with code 2 where one is not known."""
    if given is None:
        return default
    names = known if given == "all" else tuple(filter(None, given.split(",")))
    if unknown := [name for name in names if name not in known]:
        parser.error(f"{option}: no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inference",
        description="Measures inference beside ONNX Runtime alone and beside other serving frameworks.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round: a trial, no figures to quote")
    parser.add_argument("--rounds", type=int, help="rounds, each visits every server (default 3)")
    parser.add_argument(
        "--models",
        metavar="A,B",
        help=f"of {', '.join(m.name for m in MODELS)}, or all (default: {', '.join(DEFAULT_MODELS)})",
    )
    parser.add_argument(
        "--peers",
        metavar="A,B",
        help=f"of {', '.join(OTHERS)} (default: all); an empty word for none",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    return parser
