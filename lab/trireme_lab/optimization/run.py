"""From a model of the repository to a table of its variants and, if wanted, a new version."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trireme_common.errors import SpecError
from trireme_common.repository import GOLDEN_FILE, VersionFiles, scan, sha256
from trireme_inference.golden import Golden, read_golden
from trireme_lab import draft
from trireme_lab.command import Commit
from trireme_lab.draft import Draft
from trireme_lab.failure import LabFailure, LabUsage
from trireme_lab.folder import write_quality
from trireme_lab.optimization import gate, report
from trireme_lab.optimization.report import Setup
from trireme_lab.optimization.samples import SampleSet, of_file, of_golden
from trireme_lab.optimization.trial import MODEL_FILE, STEPS, Bench, Trial

_NOT_COPIED = (MODEL_FILE, f"{MODEL_FILE}.data", GOLDEN_FILE, "quality.json")


@dataclass(frozen=True)
class Options:
    """What was asked for. `version` None is the newest; `samples` None are the golden request's rows."""

    model: str
    models: Path = Path("models")
    version: int | None = None
    variants: tuple[str, ...] = ()
    samples: Path | None = None
    tolerance: float = 0.01
    threads: int = 1
    rounds: int = 7
    publish: bool = False


def optimize(options: Options, people: Console, results: Console | None, commit: Commit) -> dict[str, Any]:
    """Measures, shows a table on `results` if there is one, publishes if asked to. Returns the figures.
    Raises LabFailure, also where nothing qualified for the publishing that was asked for."""
    files = find(options.models, options.model, options.version)
    if options.publish:
        draft.check_pins(files.directory.parent)
    golden = _golden(files)
    samples = _samples(options, files, golden)
    with tempfile.TemporaryDirectory(prefix="trireme-optimize-") as folder:
        bench = Bench(files, golden, samples, Path(folder), threads=options.threads)
        setup = Setup(
            options.model,
            files.version,
            files.spec.task,
            samples.origin,
            bench.items,
            options.tolerance,
            options.threads,
        )
        trials = _try_all(bench, options, people)
        for warning in report.warnings(setup):
            people.print(f"warning: {warning}", style="yellow", markup=False)
        if results is not None:
            report.show(results, setup, trials)
        published = None
        if options.publish:
            chosen, published = _publish(files, golden, setup, trials, commit)
            _say_published(files, golden, chosen, published, people)
    return report.document(setup, trials, published)


def find(models: Path, name: str, version: int | None) -> VersionFiles:
    """One version of the repository, the newest if none is named. Raises LabFailure or LabUsage."""
    try:
        found = scan(models)
    except SpecError as error:
        raise LabFailure(error.detail) from error
    for broken, reason in found.broken:
        if broken == name:
            raise LabFailure(f"model {name} cannot be served: {reason}")
    have = [files for files in found.versions if files.spec.name == name]
    if not have:
        names = ", ".join(sorted({files.spec.name for files in found.versions})) or "no model"
        raise LabUsage(f"no model {name!r} in {models}; it holds: {names}")
    chosen = [files for files in have if version in (None, files.version)]
    if not chosen:
        raise LabUsage(f"model {name} has no version {version}; it has {[f.version for f in have]}")
    files = chosen[-1]
    if not (files.directory / MODEL_FILE).is_file():
        raise LabFailure(
            f"{files.directory} has no {MODEL_FILE}: only ONNX models are optimised; "
            "`trireme export` makes one of a TorchScript or torch.export archive"
        )
    return files


def _golden(files: VersionFiles) -> Golden | None:
    try:
        return read_golden(files.golden) if files.golden is not None else None
    except SpecError as error:
        raise LabFailure(error.detail) from error


def _samples(options: Options, files: VersionFiles, golden: Golden | None) -> SampleSet:
    if options.samples is not None:
        return of_file(options.samples, files)
    if golden is None:
        raise LabUsage(f"model {options.model} has no {GOLDEN_FILE}: give items to measure on with --samples")
    return of_golden(golden)


def _try_all(bench: Bench, options: Options, people: Console) -> list[Trial]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    trials = []
    with Progress(*columns, console=people, transient=True, disable=not people.is_terminal) as progress:
        bar = progress.add_task("", total=STEPS * len(options.variants))
        for position, variant in enumerate(options.variants):
            done = position * STEPS

            def advance(what: str) -> None:
                progress.update(bar, advance=1, description=what)

            trials.append(bench.try_variant(variant, rounds=options.rounds, advance=advance))
            progress.update(bar, completed=done + STEPS)
    return trials


def _publish(
    files: VersionFiles, golden: Golden | None, setup: Setup, trials: Sequence[Trial], commit: Commit
) -> tuple[Trial, int]:
    chosen = gate.best(trials, setup.tolerance)
    if chosen is None:
        why = "\n".join(
            f"  {trial.variant}: {'; '.join(gate.refusals(trial, setup.tolerance))}" for trial in trials
        )
        raise LabFailure(f"nothing was published, because no variant qualifies:\n{why}")
    target = files.directory.parent
    with draft.open_draft(target, draft.next_version(target)) as made:
        _fill(made, files, golden, chosen)
        write_quality(made.directory / "quality.json", _quality(files, setup, chosen))
        draft.pin(made)
        draft.check(made)
        commit()
        draft.publish(made)
        return chosen, made.version


def _fill(made: Draft, files: VersionFiles, golden: Golden | None, chosen: Trial) -> None:
    """The variant, the assets of the version it was made from, and the golden request with its answer
    still the framework's, at a tolerance of its own."""
    for path in files.files():
        name = path.relative_to(files.directory)
        if str(name) not in _NOT_COPIED:
            (made.directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, made.directory / name)
    shutil.copyfile(chosen.model, made.directory / MODEL_FILE)
    if golden is not None:
        content = json.loads(golden.path.read_text("utf-8"))
        atol = max(golden.atol, gate.golden_bound(chosen))
        content["tolerance"] = {"rtol": golden.rtol, "atol": atol}
        text = json.dumps(content, ensure_ascii=False) + "\n"
        (made.directory / GOLDEN_FILE).write_text(text, "utf-8")


def _quality(files: VersionFiles, setup: Setup, chosen: Trial) -> dict[str, Any]:
    """quality.json of the new version: what it was made from and how far it is from that."""
    figures = report.document(setup, [chosen], None)
    return {
        "task": setup.task,
        "variant": chosen.variant,
        "made_from": {"version": files.version, "sha256": sha256(files.directory / MODEL_FILE)},
        "onnxruntime": onnxruntime.__version__,
        **{name: figures[name] for name in ("samples", "items", "loss_is", "tolerance", "threads")},
        "metrics": {
            name: figures["variants"][0][name] for name in ("agreement", "speeds", "bytes", "original_bytes")
        },
    }


def _say_published(
    files: VersionFiles, golden: Golden | None, chosen: Trial, version: int, people: Console
) -> None:
    people.print(f"published {chosen.variant} as {files.directory.parent / str(version)}", style="green")
    if gate.is_slower(chosen):
        people.print("it is smaller, and slower on this machine", style="yellow")
    if golden is not None and gate.golden_bound(chosen) > golden.atol:
        people.print(
            f"its golden check allows {gate.golden_bound(chosen):.2g}, where that of version {files.version} "
            f"allows {golden.atol:.2g}: twice what it differs by, of values up to {chosen.golden_scale:.2g}",
            style="yellow",
            markup=False,
        )
    if files.spec.versions.policy == "specific":
        people.print(
            f"model.yaml serves {list(files.spec.versions.list)} only: add {version} to serve it",
            style="yellow",
            markup=False,
        )
