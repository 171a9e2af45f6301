"""The real Helm SDK, as the chart tests use it.

Every call loads the chart afresh: the SDK's handle keeps state between renders. The Kubernetes and API
versions are options of its private calls alone, hence `_native` here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import helm_python
import yaml
from helm_python import _native

Document = dict[str, Any]
Values = Mapping[str, Any]

CHARTS = Path(__file__).resolve().parents[2] / "deploy" / "helm"
CHART = CHARTS / "trireme"
KUBE_VERSIONS = ("1.32.0", "1.35.0", "1.37.0")
REGISTRY = "registry.example/team"
NAMESPACE = "models"
# What a cluster offers that has everything the charts can use.
API_VERSIONS = (
    "autoscaling/v2", "autoscaling.x-k8s.io/v1beta1", "cert-manager.io/v1", "cloud.google.com/v1",
    "eks.amazonaws.com/v1", "external-secrets.io/v1",
    "gateway.networking.k8s.io/v1", "karpenter.azure.com/v1beta1", "karpenter.k8s.aws/v1", "karpenter.sh/v1",
    "keda.sh/v1alpha1", "monitoring.coreos.com/v1", "policy/v1", "resource.k8s.io/v1", "scheduling.k8s.io/v1",
)  # fmt: skip

HelmError = helm_python.HelmError


class _UniqueKeys(yaml.CSafeLoader):
    """Refuses a key that stands twice in one map, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


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
    """The objects of a render, hooks among them. Raises yaml.YAMLError, also for a key that stands twice."""
    return [
        document
        for path, text in sorted(rendered.items())
        if path.endswith(".yaml")
        for document in yaml.load_all(text, Loader=_UniqueKeys)
        if document
    ]


def manifests(values: Values | None = None, **options: Any) -> list[Document]:
    """The objects that these values give, over a registry."""
    return documents(render(with_registry(values or {}), **options))


def dry_run(
    values: Values, *, kube_version: str, api_versions: Sequence[str] = (), chart: Path = CHART
) -> str:
    """The manifest of a client dry-run, which unlike a render checks kubeVersion and dependencies too."""
    options: dict[str, Any] = {
        "dry_run": "client",
        "namespace": NAMESPACE,
        "kube_version": f"v{kube_version}",
    }
    if api_versions:
        options["api_versions"] = list(api_versions)
    with helm_python.Chart.load(chart) as loaded, helm_python.Config(namespace=NAMESPACE) as config:
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


def lint(values: Values, *, kube_version: str, chart: Path = CHART) -> list[str]:
    """What a strict lint calls a warning or an error."""
    report = helm_python.lint(chart, dict(values), strict=True, kube_version=f"v{kube_version}")
    found = [str(message["error"]) for message in report["messages"] if message["severity"] >= 2]
    return [*found, *map(str, report["errors"])]


def with_registry(values: Values) -> dict[str, Any]:
    """The values, and where the images come from, whatever they say themselves."""
    return {**values, "global": {**values.get("global", {}), "imageRegistry": REGISTRY}}
