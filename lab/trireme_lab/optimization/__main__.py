"""Entry point of `trireme optimize`, which runs `python -m trireme_lab.optimization`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from trireme_lab.failure import LabFailure
from trireme_lab.optimization.run import Options, optimize
from trireme_lab.optimization.variants import VARIANTS

_EPILOG = """loss, which --tolerance bounds: the share of labels that change, for a classification;
1 - cosine of the worst item, for an embedding; the biggest difference over the biggest value of
that output, for anything else. docs/optimize.md says more.

examples:
  trireme optimize digits
  trireme optimize sentiment-zh --samples reviews.jsonl --variants int8-static,fp16
  trireme optimize digits --samples pictures.jsonl --tolerance 0.005 --publish"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="trireme optimize",
        description="Makes variants of a model with ONNX Runtime's tools, measures each against the "
        "original, and publishes the best as a new version if its loss stays inside the tolerance.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("model", metavar="MODEL", help="name of the model")
    made.add_argument("--models", type=Path, default=Path("models"), help="the model repository (models)")
    made.add_argument("--version", type=int, help="version to start from (the newest)")
    made.add_argument("--variants", type=_variants, default=tuple(VARIANTS), help=",".join(VARIANTS))
    made.add_argument(
        "--samples",
        type=Path,
        metavar="FILE",
        help="JSONL of items: half calibrate, half are measured (the golden request's rows)",
    )
    made.add_argument("--tolerance", type=_tolerance, default=0.01, help="biggest loss allowed (0.01)")
    made.add_argument("--threads", type=_count, default=1, help="CPU threads of a run (1)")
    made.add_argument("--rounds", type=_count, default=7, help="rounds of the speed comparison (7)")
    made.add_argument("--publish", action="store_true", help="put the best variant in as a new version")
    made.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    return made


def main(arguments: Sequence[str]) -> int:
    """Runs the command; 0, or 1 with the reason on standard error, or 2 for a command that is wrong."""
    given = vars(parser().parse_args(arguments))
    as_json = given.pop("json")
    people = Console(stderr=True, highlight=False, soft_wrap=True)
    results = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    try:
        figures = optimize(Options(**given), people, None if as_json else results)
    except LabFailure as failure:
        people.print(f"trireme: {failure}", style="red", markup=False)
        return failure.exit_code
    if as_json:
        print(json.dumps(figures, ensure_ascii=False), flush=True)
    return 0


def _variants(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown variant {unknown[0]!r}; known: {', '.join(VARIANTS)}")
    return names


def _tolerance(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("a number from 0 on")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a whole number from 1 on")
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
