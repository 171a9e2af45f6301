"""The values that the charts are rendered with: none, every preset, and every file in `ci/`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.charts import helm

_SINCE = re.compile(r"Kubernetes 1\.(\d+) or later")


@dataclass(frozen=True)
class Case:
    """One set of values of one chart. `since` is the least minor version of Kubernetes that it is for, as a
    comment at the head of the file says: "Kubernetes 1.35 or later"."""

    chart: Path
    name: str
    values: dict[str, Any] = field(hash=False, compare=False)
    since: int = 0

    def __str__(self) -> str:
        return f"{self.chart.name}-{self.name}"

    def fits(self, kube_version: str) -> bool:
        return int(kube_version.split(".")[1]) >= self.since

    def render(self, kube_version: str = helm.KUBE_VERSIONS[1], **options: Any) -> dict[str, str]:
        """Text of every template, on a cluster that has every API unless said otherwise."""
        options = {"api_versions": helm.API_VERSIONS, "chart": self.chart, **options}
        return helm.render(self.values, kube_version=kube_version, **options)


def charts() -> list[Path]:
    """Every chart, `trireme` first."""
    return sorted(path.parent for path in helm.CHARTS.glob("*/Chart.yaml"))


@functools.cache
def cases(chart: Path) -> tuple[Case, ...]:
    """Every set of values that comes with a chart."""
    return tuple(_cases(chart))


def _cases(chart: Path) -> Iterator[Case]:
    defaults = yaml.safe_load((chart / "values.yaml").read_text())
    registry = helm.with_registry if "imageRegistry" in defaults.get("global", {}) else dict
    yield Case(chart, "default", registry({}))
    for path in [*sorted(chart.glob("presets/*-values.yaml")), *sorted(chart.glob("ci/*-values.yaml"))]:
        text = path.read_text()
        head = "\n".join(line for line in text.splitlines()[:5] if line.startswith("#"))
        since = _SINCE.search(head)
        name = f"{path.parent.name}-{path.name.removesuffix('-values.yaml')}"
        yield Case(chart, name, registry(yaml.safe_load(text) or {}), int(since[1]) if since else 0)


def every(chart: Path | None = None) -> list[tuple[Case, str]]:
    """Every set of values, on every version of Kubernetes that it is for."""
    return [
        (case, kube_version)
        for one in ([chart] if chart else charts())
        for case in cases(one)
        for kube_version in helm.KUBE_VERSIONS
        if case.fits(kube_version)
    ]


@functools.cache
def rendered(case: Case, kube_version: str) -> dict[str, str]:
    """The render of a case, once for all tests; not to be changed."""
    return case.render(kube_version)


@functools.cache
def objects(case: Case, kube_version: str) -> list[helm.Document]:
    """The objects of a case, once for all tests; not to be changed."""
    return helm.documents(rendered(case, kube_version))
