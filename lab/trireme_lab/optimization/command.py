"""The command line of `trireme optimize`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from trireme_lab.arguments import tolerance, whole_number
from trireme_lab.command import Commit, run
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
    made.add_argument(
        "--models",
        type=Path,
        default=Path(os.environ.get("TRIREME_MODELS_DIR") or "models"),
        help="the model repository (TRIREME_MODELS_DIR, or models)",
    )
    made.add_argument("--version", type=whole_number(0), help="version to start from (the newest)")
    made.add_argument("--variants", type=_variants, default=tuple(VARIANTS), help=",".join(VARIANTS))
    made.add_argument(
        "--samples",
        type=Path,
        metavar="FILE",
        help="JSONL of items: half calibrate, half are measured (the golden request's rows)",
    )
    made.add_argument("--tolerance", type=tolerance, default=0.01, help="biggest loss allowed (0.01)")
    made.add_argument("--threads", type=whole_number(1), default=1, help="CPU threads of a run (1)")
    made.add_argument("--rounds", type=whole_number(1), default=7, help="rounds of the speed comparison (7)")
    made.add_argument("--publish", action="store_true", help="put the best variant in as a new version")
    made.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    return made


def run_optimize(arguments: Sequence[str]) -> int:
    """Runs the command; the exit code, the reason of any but 0 being on standard error."""
    given = vars(parser().parse_args(arguments))
    as_json = given.pop("json")
    people = Console(stderr=True, highlight=False, soft_wrap=True)
    results = Console(highlight=False, width=None if sys.stdout.isatty() else 160)

    def work(commit: Commit) -> None:
        figures = optimize(Options(**given), people, None if as_json else results, commit)
        if as_json:
            print(json.dumps(figures, ensure_ascii=False), flush=True)

    return run(work, people)


def _variants(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown variant {unknown[0]!r}; known: {', '.join(VARIANTS)}")
    return names
