"""Pods of a preset of `trireme` find room on nodes of the preset of `trireme-nodepools` of the same name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import helm
from tests.charts.cases import Case, cases, charts, objects
from tests.charts.objects import Pod, all_pods, gpus, of_kind

_CLASS = "cloud.google.com/compute-class"
_NODES = {case.name: case for chart in charts() if chart != helm.CHART for case in cases(chart)}
_BOTH = [
    (case, _NODES[case.name]) for case in cases(helm.CHART) if "presets" in case.name and case.name in _NODES
]


def _pools(documents: list[helm.Document]) -> list[tuple[dict[str, str], list[dict[str, Any]]]]:
    """Labels and taints of the nodes that the objects make."""
    found = []
    for pool in of_kind(documents, "NodePool"):
        template = pool["spec"]["template"]
        labels = dict(template.get("metadata", {}).get("labels", {}))
        for requirement in template["spec"]["requirements"]:
            if requirement["operator"] == "In" and len(requirement["values"]) == 1:
                labels[requirement["key"]] = requirement["values"][0]
        found.append((labels, template["spec"].get("taints", [])))
    for made in of_kind(documents, "ComputeClass"):
        config = made["spec"].get("nodePoolConfig", {})
        # GKE taints the nodes of a class, and tolerates that in pods that name it; as with GPUs.
        labels = {**config.get("nodeLabels", {}), _CLASS: made["metadata"]["name"]}
        found.append((labels, config.get("taints", [])))
    return found


def _fits(pod: Pod, labels: dict[str, str], taints: list[dict[str, Any]]) -> bool:
    tolerations = pod.spec.get("tolerations", [])
    tolerated = all(
        any(
            one.get("key") == taint["key"]
            and (one.get("operator") == "Exists" or one.get("value") == taint.get("value"))
            for one in tolerations
        )
        for taint in taints
    )
    return tolerated and all(
        labels.get(key) == value for key, value in pod.spec.get("nodeSelector", {}).items()
    )


def test_every_cloud_has_both_presets() -> None:
    assert {case.name for case, _ in _BOTH} >= {"presets-aks", "presets-eks", "presets-gke"}


@pytest.mark.parametrize(("case", "nodes"), _BOTH, ids=str)
def test_gpu_pods_find_a_node(case: Case, nodes: Case) -> None:
    pools = _pools(objects(nodes, helm.KUBE_VERSIONS[-1]))
    pods = [pod for pod in all_pods(objects(case, helm.KUBE_VERSIONS[-1])) if gpus(pod.spec)]
    assert pods
    assert pools
    assert [pod.title for pod in pods if not any(_fits(pod, *pool) for pool in pools)] == []
