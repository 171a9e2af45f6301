"""The trials as a table for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from trireme_lab.optimization.gate import is_faster, is_smaller, refusals
from trireme_lab.optimization.samples import FEW
from trireme_lab.optimization.speed import Speed
from trireme_lab.optimization.trial import CLASSIFICATIONS, Trial


@dataclass(frozen=True)
class Setup:
    """What the trials were made of and held against."""

    model: str
    version: int
    task: str
    samples: str
    items: int
    tolerance: float
    threads: int

    @property
    def loss_is(self) -> str:
        """What the tolerance is a bound of."""
        if self.task in CLASSIFICATIONS:
            return "share of the labels that changed"
        return "1 - cosine" if self.task == "text-embedding" else "biggest difference / biggest value"


def warnings(setup: Setup) -> list[str]:
    """What a reader of the figures should know first."""
    if setup.items >= FEW:
        return []
    return [
        f"agreement is measured on {setup.items} items only, from {setup.samples}: it says little; "
        "give more with --samples"
    ]


def show(console: Console, setup: Setup, trials: Sequence[Trial]) -> None:
    """One row a variant, then why each refused one is."""
    threads = f"{setup.threads} thread{'s' if setup.threads > 1 else ''}"
    title = f"{setup.model}, version {setup.version}: {setup.items} items of {setup.samples}, {threads}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    batches = sorted({speed.batch for trial in trials for speed in trial.speeds})
    table.add_column("variant")
    for heading in (
        "size",
        *(f"batch {batch}, ms" for batch in batches),
        *_agreement_headings(setup),
        "loss",
    ):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for trial in trials:
        table.add_row(*_row(setup, trial, batches))
    console.print(table)
    console.print(f"loss: {setup.loss_is}; tolerance {setup.tolerance:g}", markup=False)
    for trial in trials:
        for reason in refusals(trial, setup.tolerance):
            console.print(f"{trial.variant}: {reason}", style="yellow", markup=False)


def document(setup: Setup, trials: Sequence[Trial], published: int | None) -> dict[str, Any]:
    """All of it. Figures that are infinite or missing are null."""
    found = [
        {
            "variant": trial.variant,
            "bytes": trial.bytes or None,
            "original_bytes": trial.original_bytes,
            "speeds": [asdict(speed) for speed in trial.speeds],
            "agreement": asdict(trial.agreement) if trial.agreement else None,
            "golden_gap": trial.golden_gap,
            "golden_scale": trial.golden_scale,
            "neighbours_gap": trial.neighbours_gap,
            "faster": is_faster(trial),
            "smaller": bool(trial.bytes) and is_smaller(trial),
            "refusals": list(refusals(trial, setup.tolerance)),
        }
        for trial in trials
    ]
    head = {**asdict(setup), "loss_is": setup.loss_is, "warnings": warnings(setup)}
    whole: dict[str, Any] = _finite({**head, "variants": found, "published_version": published})
    return whole


def _row(setup: Setup, trial: Trial, batches: Sequence[int]) -> list[str]:
    verdict = "[yellow]refused[/]" if refusals(trial, setup.tolerance) else "[green]good[/]"
    agreement = trial.agreement
    if agreement is None:
        return [trial.variant, *["-"] * (len(batches) + len(_agreement_headings(setup)) + 2), verdict]
    by_batch = {speed.batch: speed for speed in trial.speeds}
    size = f"{decimal(trial.original_bytes)} -> {decimal(trial.bytes)}"
    columns = [f"{agreement.max_absolute:.2g}"]
    if agreement.labels_changed is not None:
        columns.insert(0, f"{agreement.items - agreement.labels_changed} of {agreement.items}")
    if agreement.cosine is not None:
        columns.insert(0, f"{agreement.cosine:.6f}")
    speeds = [_speed(by_batch[batch]) for batch in batches]
    return [escape(trial.variant), size, *speeds, *columns, f"{agreement.loss:.3g}", verdict]


def _agreement_headings(setup: Setup) -> list[str]:
    if setup.task in CLASSIFICATIONS:
        return ["same label", "max abs diff"]
    return ["worst cosine", "max abs diff"] if setup.task == "text-embedding" else ["max abs diff"]


def _speed(speed: Speed) -> str:
    original, variant = speed.original_seconds * 1000, speed.variant_seconds * 1000
    return f"{original:.3g} -> {variant:.3g} (x{speed.ratio:.2f})"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
