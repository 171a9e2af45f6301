"""The real Helm SDK, as the chart tests use it.

Every call loads the chart afresh: the SDK's handle keeps state between renders. The Kubernetes and API
versions are options of its private calls alone, hence `_native` here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import helm_python
import yaml
from helm_python import _native

Document = dict[str, Any]
Values = Mapping[str, Any]

CHART = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "trireme"
KUBE_VERSIONS = ("1.32.0", "1.35.0", "1.37.0")
REGISTRY = "registry.example/team"
NAMESPACE = "models"

HelmError = helm_python.HelmError


def render(
    values: Values | None = None,
    *,
    kube_version: str = KUBE_VERSIONS[1],
    name: str = "trireme",
    api_versions: Sequence[str] = (),
    chart: Path = CHART,
) -> dict[str, str]:
    """Text of every template, by path. Raises HelmError where the chart refuses the values."""
    options: dict[str, Any] = {"name": name, "namespace": NAMESPACE, "kube_version": f"v{kube_version}"}
    if api_versions:
        options["api_versions"] = list(api_versions)
    with helm_python.Chart.load(chart) as loaded:
        answer = _native.call_string(
            "helm_render", loaded._raw(), json.dumps(values or {}), json.dumps(options)
        )
    rendered: dict[str, str] = json.loads(answer)
    return rendered


def documents(rendered: Mapping[str, str]) -> list[Document]:
    """The objects of a render, hooks among them. Raises yaml.YAMLError where one is no YAML."""
    return [
        document
        for path, text in sorted(rendered.items())
        if path.endswith(".yaml")
        for document in yaml.load_all(text, Loader=yaml.CSafeLoader)
        if document
    ]


def manifests(values: Values | None = None, **options: Any) -> list[Document]:
    """The objects that these values give, over a registry."""
    return documents(render(with_registry(values or {}), **options))


def dry_run(values: Values, *, kube_version: str) -> str:
    """The manifest of a client dry-run, which unlike a render checks kubeVersion and dependencies too."""
    options = {"dry_run": "client", "namespace": NAMESPACE, "kube_version": f"v{kube_version}"}
    with helm_python.Chart.load(CHART) as loaded, helm_python.Config(namespace=NAMESPACE) as config:
        handle, reference = config._chart_args(loaded)
        answer = _native.call_string(
            "helm_install",
            config._raw(),
            config._context_arg(None),
            handle,
            reference,
            "trireme",
            json.dumps(values),
            json.dumps(options),
        )
    return str(json.loads(answer)["manifest"])


def lint(values: Values, *, kube_version: str) -> list[str]:
    """What a strict lint calls a warning or an error."""
    report = helm_python.lint(CHART, dict(values), strict=True, kube_version=f"v{kube_version}")
    found = [str(message["error"]) for message in report["messages"] if message["severity"] >= 2]
    return [*found, *map(str, report["errors"])]


def preset(name: str) -> dict[str, Any]:
    """Values of a preset, `default` being none, over a registry."""
    path = CHART / "presets" / f"{name}-values.yaml"
    return with_registry({} if name == "default" else yaml.safe_load(path.read_text()))


def presets() -> list[str]:
    """`default`, and every preset of the chart."""
    return [
        "default",
        *sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "presets").iterdir()),
    ]


def with_registry(values: Values) -> dict[str, Any]:
    """The values, and where the images come from."""
    return {**values, "global": {"imageRegistry": REGISTRY, **values.get("global", {})}}
