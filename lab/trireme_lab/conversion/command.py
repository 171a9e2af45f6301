"""The command line of `trireme export`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from trireme_common.model_spec import Task
from trireme_lab.arguments import tolerance, whole_number
from trireme_lab.command import Commit, run
from trireme_lab.conversion.declaration import FORM, Declared, parse
from trireme_lab.conversion.run import Exported, Options, export
from trireme_lab.failure import LabFailure

_EPILOG = """sources: TorchScript (.pt), torch.export (.pt2, saved without example inputs), a local Hugging
Face directory (config.json and safetensors), a TensorFlow SavedModel. Nothing is downloaded or
unpickled. docs/optimize.md says more.

examples:
  trireme export resnet.pt --into models/resnet --input "image:FP32:[-1,3,224,224]"
  trireme export encoder.pt2 --into models/encoder --version 2
  trireme export ./my-bert --into models/my-bert --task text-classification"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="trireme export",
        description="Exports a model of another framework to ONNX, checks it against the original, and "
        "puts it into the repository as a version.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("source", metavar="SOURCE", type=Path, help="file or directory of the model")
    made.add_argument("--into", type=Path, required=True, help="model to make or to extend: models/NAME")
    made.add_argument("--version", type=whole_number(0), help="version to write (the next one)")
    made.add_argument("--task", choices=get_args(Task), default="tensor", help="task of a new model (tensor)")
    made.add_argument("--input", dest="inputs", action="append", type=_input, metavar="INPUT", help=FORM)
    made.add_argument("--output", dest="outputs", action="append", metavar="NAME", help="name of an output")
    made.add_argument("--sample", type=Path, metavar="FILE", help=".npz, or JSON of a v2 request")
    made.add_argument("--rtol", type=tolerance, default=1e-4, help="relative tolerance (1e-4)")
    made.add_argument("--atol", type=tolerance, default=1e-5, help="absolute tolerance (1e-5)")
    made.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    return made


def run_export(arguments: Sequence[str]) -> int:
    """Runs the command; the exit code, the reason of any but 0 being on standard error."""
    given = vars(parser().parse_args(arguments))
    as_json = given.pop("json")
    given["inputs"], given["outputs"] = tuple(given["inputs"] or ()), tuple(given["outputs"] or ())
    options, people = Options(**given), Console(stderr=True, highlight=False, soft_wrap=True)

    def work(commit: Commit) -> None:
        exported = export(options, people, commit)
        for note in exported.notes:
            people.print(note, style="yellow", markup=False)
        if as_json:
            print(json.dumps(exported.document(), ensure_ascii=False), flush=True)
        else:
            show(Console(highlight=False), exported, options)

    return run(work, people)


def show(console: Console, exported: Exported, options: Options) -> None:
    """The requests that were compared, then where the version stands."""
    table = Table("compared on", box=box.SIMPLE)
    table.add_column("largest difference", justify="right")
    for check in exported.checks:
        shapes = ", ".join(f"{name} {shape}" for name, shape in check.shapes.items())
        table.add_row(shapes, f"{check.difference:.2g}")
    console.print(table, markup=False)
    console.print(
        f"{exported.directory}: {exported.source}, {exported.nodes} nodes, {decimal(exported.bytes)}, agrees "
        f"within rtol {options.rtol:g} and atol {options.atol:g}",
        style="green",
        markup=False,
        soft_wrap=True,
    )


def _input(text: str) -> Declared:
    try:
        return parse(text)
    except LabFailure as failure:
        raise argparse.ArgumentTypeError(str(failure)) from failure
