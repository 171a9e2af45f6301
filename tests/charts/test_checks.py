"""The checks themselves: each is shown a mistake and must find it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest

from tests.charts import checks, helm
from tests.charts.network import End, Policies
from tests.charts.objects import named, of_kind, pods

Mistake = Callable[[list[helm.Document]], Any]


def _pod(documents: list[helm.Document], name: str = "gateway") -> dict[str, Any]:
    spec: dict[str, Any] = named(documents, "Deployment", f"trireme-{name}")["spec"]["template"]["spec"]
    return spec


def _container(documents: list[helm.Document], name: str = "gateway") -> dict[str, Any]:
    container: dict[str, Any] = _pod(documents, name)["containers"][0]
    return container


def _service(documents: list[helm.Document]) -> dict[str, Any]:
    spec: dict[str, Any] = named(documents, "Service", "trireme-preprocess")["spec"]
    return spec


_MISTAKES: dict[str, Mistake] = {
    "one_scaler: Deployment/trireme-cache has neither": lambda d: named(d, "Deployment", "trireme-cache")[
        "spec"
    ].pop("replicas"),
    "no_duplicates: Deployment/trireme-gateway: env": lambda d: _container(d)["env"].append(
        _container(d)["env"][0]
    ),
    "no_duplicates: ('v1', 'Service/trireme-preprocess')": lambda d: d.append(
        named(d, "Service", "trireme-preprocess")
    ),
    "selectors: PodDisruptionBudget/trireme-gateway selects": lambda d: named(
        d, "PodDisruptionBudget", "trireme-gateway"
    )["spec"]["selector"]["matchLabels"].pop("app.kubernetes.io/component"),
    "selectors: Deployment/trireme-gateway selects by version": lambda d: [
        part.update({"app.kubernetes.io/version": "0.1.0"})
        for part in (
            named(d, "Deployment", "trireme-gateway")["spec"]["selector"]["matchLabels"],
            named(d, "Deployment", "trireme-gateway")["spec"]["template"]["metadata"]["labels"],
        )
    ],
    "pod_security: Deployment/trireme-gateway mounts a service account token": lambda d: _pod(d).pop(
        "automountServiceAccountToken"
    ),
    "pod_security: Deployment/trireme-gateway: readOnlyRootFilesystem": lambda d: _container(d)[
        "securityContext"
    ].pop("readOnlyRootFilesystem"),
    "pod_security: Deployment/trireme-gateway: /tmp is written": lambda d: _container(d)[
        "volumeMounts"
    ].clear(),
    "resources: Deployment/trireme-cache": lambda d: _container(d, "cache")["resources"].pop("limits"),
    "shutdown: Deployment/trireme-gateway: grace 40": lambda d: _pod(d).update(
        terminationGracePeriodSeconds=40
    ),
    "shutdown: Deployment/trireme-inference-default may start": lambda d: _container(d, "inference-default")[
        "startupProbe"
    ].update(failureThreshold=10),
    "grpc_services: Service/trireme-preprocess is not headless": lambda d: _service(d).pop("clusterIP"),
    "grpc_services: Service/trireme-preprocess publishes": lambda d: _service(d).update(
        publishNotReadyAddresses=True
    ),
    "grpc_services: Deployment/trireme-preprocess: startup": lambda d: _container(d, "preprocess").pop(
        "startupProbe"
    ),
    "images: Deployment/trireme-cache: image redis:7": lambda d: _container(d, "cache").update(
        image="redis:7"
    ),
    "names: ClusterRole/trireme is of the whole cluster": lambda d: d.append(
        {"apiVersion": "v1", "kind": "ClusterRole", "metadata": {"name": "trireme", "labels": {}}}
    ),
}


@pytest.mark.parametrize("expected", _MISTAKES)
def test_each_check_finds_its_mistake(expected: str) -> None:
    documents = helm.manifests()
    assert checks.problems(documents) == []
    _MISTAKES[expected](documents)
    assert [problem for problem in checks.problems(documents) if problem.startswith(expected)]


def test_the_text_check_finds_what_templates_print_by_mistake() -> None:
    for mistake in ("<no value>", "%!s(int=1)", "map[a:1]", "value: 1.6777216e+07"):
        assert list(checks.text({"one.yaml": f"key: {mistake}"}))


def test_the_schemas_refuse_an_unknown_field() -> None:
    document = named(helm.manifests(), "Deployment", "trireme-gateway")
    document["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(document, helm.KUBE_VERSIONS[1], strict=True)


def test_the_simulated_network_needs_both_ends() -> None:
    documents = helm.manifests()
    labels = {found["app.kubernetes.io/component"]: found for _, found, _ in pods(documents)}
    gateway, cache = End(labels["gateway"]), End(labels["cache"])
    assert Policies(documents).allow(gateway, cache, 6379)
    for name in ("trireme-gateway", "trireme-cache"):
        left = [one for one in documents if (one["kind"], one["metadata"]["name"]) != ("NetworkPolicy", name)]
        assert not Policies(left).allow(gateway, cache, 6379)
    without = [one for one in documents if one not in of_kind(documents, "NetworkPolicy")]
    assert Policies(without).allow(cache, gateway, 22)
