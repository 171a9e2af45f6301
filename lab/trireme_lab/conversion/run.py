"""From a framework's model to a version of the repository that the platform serves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trireme_common.errors import SpecError
from trireme_common.model_spec import read_model_spec
from trireme_common.repository import GOLDEN_FILE, SPEC_FILE, bare_spec
from trireme_lab import draft
from trireme_lab.command import Commit
from trireme_lab.conversion import model_yaml
from trireme_lab.conversion.declaration import Declared, Feeds, check_sample, of_sample, outputs_of
from trireme_lab.conversion.onnx_file import (
    Check,
    Tolerance,
    check_inputs,
    compare,
    describe_outputs,
    simplify,
)
from trireme_lab.conversion.requests import ROUNDS, answer, golden_of, random_requests, read_sample
from trireme_lab.conversion.source import Source, Wanted, open_source
from trireme_lab.export import write_golden
from trireme_lab.failure import LabFailure, LabUsage
from trireme_lab.folder import write_quality

MODEL_FILE = "model.onnx"
STEPS = 5

Advance = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What was asked for. `version` None is one more than the highest that is there."""

    source: Path
    into: Path
    version: int | None = None
    task: str = "tensor"
    inputs: tuple[Declared, ...] = ()
    outputs: tuple[str, ...] = ()
    sample: Path | None = None
    rtol: float = 1e-4
    atol: float = 1e-5

    @property
    def tolerance(self) -> Tolerance:
        """How far the export's answers may be from the original's."""
        return Tolerance(self.rtol, self.atol)


@dataclass(frozen=True)
class Exported:
    """What was done: where it stands, and how far its answers are from the original's."""

    model: str
    version: int
    directory: str
    source: str
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    checks: tuple[Check, ...]
    nodes: int
    bytes: int
    simplified: bool
    notes: tuple[str, ...]

    @property
    def largest_difference(self) -> float:
        return max(check.difference for check in self.checks)

    def document(self) -> dict[str, Any]:
        """All of it, for `--json`."""
        tensors = {
            side: [
                {"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in found
            ]
            for side, found in (("inputs", self.inputs), ("outputs", self.outputs))
        }
        return {**asdict(self), **tensors, "largest_difference": self.largest_difference}


@dataclass(frozen=True)
class _Made:
    """An ONNX file that agrees with the original."""

    path: Path
    checks: list[Check]
    simplified: bool
    notes: tuple[str, ...]


def export(options: Options, people: Console, commit: Commit) -> Exported:
    """Exports, checks and publishes one version. Raises LabFailure or LabUsage; nothing is left then."""
    version = _version(options)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        tempfile.TemporaryDirectory(prefix="trireme-export-") as folder,
        Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as progress,
    ):
        bar = progress.add_task("", total=STEPS)

        def advance(what: str) -> None:
            progress.update(bar, advance=1, description=what)

        advance("loading the model")
        given = read_sample(options.sample) if options.sample is not None else None
        source = _open(options, given)
        advance("asking the original")
        requests, outputs = _requests(source, given)
        advance("writing ONNX")
        made = _make(source, requests, outputs, Path(folder), options.tolerance, advance)
        advance("checking it as the services do")
        return _publish(options, version, source, requests, outputs, made, commit)


def _version(options: Options) -> int:
    try:
        bare_spec(options.into.name)
    except SpecError as error:
        raise LabUsage(f"--into {options.into}: its last part is the model's name: {error.detail}") from error
    draft.check_pins(options.into)
    if options.version is None:
        return draft.next_version(options.into)
    if (options.into / str(options.version)).exists():
        raise LabUsage(
            f"{options.into / str(options.version)} is there already; versions are never overwritten"
        )
    return options.version


def _open(options: Options, given: Feeds | None) -> Source:
    inputs = options.inputs
    if not inputs and given is not None and options.source.suffix == ".pt":
        inputs = of_sample(given)
    return open_source(options.source, Wanted(options.task, inputs, options.outputs))


def _requests(source: Source, given: Feeds | None) -> tuple[list[tuple[Feeds, Feeds]], tuple[Declared, ...]]:
    """Requests with the original's answers, the given one first, and what the outputs were seen to be."""
    asked: list[tuple[str, Feeds]] = []
    if given is not None:
        asked.append(("the sample", check_sample(source.inputs, given)))
    asked += [("a request of its own", feeds) for feeds in source.samples]
    found = [(feeds, answer(source, feeds, what)) for what, feeds in asked]
    seen = []
    for sizes, feeds in random_requests(source.inputs):
        answers = answer(source, feeds, "random inputs")
        found.append((feeds, answers))
        seen.append((sizes, answers))
    return found, outputs_of(seen)


def _make(
    source: Source,
    requests: list[tuple[Feeds, Feeds]],
    outputs: tuple[Declared, ...],
    folder: Path,
    tolerance: Tolerance,
    advance: Advance,
) -> _Made:
    plain, slim = folder / "plain.onnx", folder / "slim.onnx"
    # The random requests stand last; the first of them has two rows, which no exporter takes for a constant.
    _write(source, plain, requests[-ROUNDS][0], outputs)
    advance("simplifying and comparing")
    problem = simplify(plain, slim)
    if not problem:
        checks = compare(slim, requests, tolerance)
        problem = next((check.problem for check in checks if check.problem), "")
        if not problem:
            return _Made(slim, checks, True, ())
    checks = compare(plain, requests, tolerance)
    wrong = next((check for check in checks if check.problem), None)
    if wrong is not None:
        raise LabFailure(
            f"the export does not agree with the original on {wrong.shapes}: {wrong.problem}; "
            f"allowed are rtol {tolerance.rtol:g} and atol {tolerance.atol:g}"
        )
    return _Made(plain, checks, False, (f"not simplified: {problem}",))


def _write(source: Source, path: Path, example: Feeds, outputs: tuple[Declared, ...]) -> None:
    try:
        source.write_onnx(path, example, outputs)
    except LabFailure:
        raise
    except Exception as error:  # exporters raise whatever a model makes them stumble over
        said = str(error).strip()[:500]
        raise LabFailure(f"the {source.kind} cannot be written as ONNX: {said}") from error
    check_inputs(path, source.inputs)
    describe_outputs(path, outputs)


def _publish(
    options: Options,
    version: int,
    source: Source,
    requests: list[tuple[Feeds, Feeds]],
    outputs: tuple[Declared, ...],
    made: _Made,
    commit: Commit,
) -> Exported:
    name, target = options.into.name, options.into
    if target.is_dir() and any(target.iterdir()) and not (target / SPEC_FILE).is_file():
        raise LabFailure(f"{target} is there and has no {SPEC_FILE}; give another name, or write one first")
    with draft.open_draft(target, version) as new:
        shutil.copyfile(made.path, new.directory / MODEL_FILE)
        for file, path in source.serving.assets.items():
            shutil.copyfile(path, new.directory / file)
        is_new = not new.spec_file.is_file()
        if is_new:
            model_yaml.write(new.spec_file, name, source.serving, source.inputs, outputs)
        elif options.task not in ("tensor", read_model_spec(new.spec_file).task):
            raise LabUsage(f"{target / SPEC_FILE} says another task than {options.task}; one model has one")
        golden = golden_of(*requests[0])
        place = new.model if is_new else new.directory
        write_golden(place / GOLDEN_FILE, *golden, asdict(options.tolerance))
        exported = _exported(options, version, source, outputs, made)
        write_quality(new.directory / "quality.json", _quality(source, exported, options.tolerance))
        draft.pin(new)
        draft.check(new)
        commit()
        draft.publish(new)
    return exported


def _exported(
    options: Options, version: int, source: Source, outputs: tuple[Declared, ...], made: _Made
) -> Exported:
    return Exported(
        model=options.into.name,
        version=version,
        directory=str(options.into / str(version)),
        source=source.kind,
        inputs=tuple(source.inputs),
        outputs=outputs,
        checks=tuple(made.checks),
        nodes=len(onnx.load(str(made.path)).graph.node),
        bytes=made.path.stat().st_size,
        simplified=made.simplified,
        notes=made.notes,
    )


def _quality(source: Source, exported: Exported, tolerance: Tolerance) -> dict[str, Any]:
    return {
        "task": source.serving.task,
        "exported_from": exported.source,
        "onnxruntime": onnxruntime.__version__,
        "requests": len(exported.checks),
        "tolerance": asdict(tolerance),
        "metrics": {"largest_difference_from_the_original": exported.largest_difference},
    }
