"""Node pools: they outlive the chart, cost no more than was said, and get the pods that they are for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.charts.helm import Document
from tests.charts.objects import all_pods, of_kind, title

_POOLS = ("NodePool", "EC2NodeClass", "NodeClass", "AKSNodeClass", "ComputeClass")
# Node classes that are there without a chart: that of every cluster of EKS Auto Mode.
_BUILT_IN_CLASSES = ("NodeClass/default",)
# Cluster Autoscaler adds no node for pods below this priority.
_LEAST_PRIORITY = -10
_BUILT_IN = ("system-cluster-critical", "system-node-critical")


def nodepools_are_kept(documents: list[Document]) -> Iterator[str]:
    """Uninstalling a chart drains no node."""
    for document in of_kind(documents, *_POOLS):
        if document["metadata"].get("annotations", {}).get("helm.sh/resource-policy") != "keep":
            yield f"{title(document)}: metadata.annotations needs helm.sh/resource-policy: keep"


def nodepools_are_bounded(documents: list[Document]) -> Iterator[str]:
    """A Karpenter pool has a limit, a class that is there, and time for its pods to end."""
    for pool in of_kind(documents, "NodePool"):
        spec = pool["spec"]["template"]["spec"]
        reference = spec["nodeClassRef"]
        known = {*map(title, of_kind(documents, reference["kind"])), *_BUILT_IN_CLASSES}
        if f"{reference['kind']}/{reference['name']}" not in known:
            yield f"{title(pool)}: nodeClassRef {reference['kind']}/{reference['name']} is not there"
        if not pool["spec"].get("limits"):
            yield f"{title(pool)}: spec.limits is missing: nothing bounds what it costs"
        if _wants_gpu(spec["requirements"]) and "nvidia.com/gpu" not in _keys(spec.get("taints", [])):
            yield f"{title(pool)}: taints: nvidia.com/gpu is missing: any pod would take a GPU node"


def _wants_gpu(requirements: list[dict[str, Any]]) -> bool:
    return any("gpu" in requirement["key"] for requirement in requirements)


def _keys(taints: list[dict[str, Any]]) -> set[str]:
    return {taint["key"] for taint in taints}


def headroom_gives_way_and_is_seen(documents: list[Document]) -> Iterator[str]:
    """Pods that hold room for others go first, and still count for Cluster Autoscaler."""
    classes = {one["metadata"]["name"]: one for one in of_kind(documents, "PriorityClass")}
    defaults = [name for name, one in classes.items() if one.get("globalDefault")]
    if defaults:
        yield f"PriorityClass {defaults}: globalDefault changes every pod of the cluster"
    for pod in all_pods(documents):
        name = pod.spec.get("priorityClassName", "")
        if "headroom" not in pod.title or name in _BUILT_IN:
            continue
        value = classes.get(name, {}).get("value")
        if value is None or not _LEAST_PRIORITY <= value < 0:
            yield (
                f"{pod.title}: priorityClassName {name!r} has the value {value}; it has to be below 0, to "
                f"give way, and {_LEAST_PRIORITY} at least, or Cluster Autoscaler does not see it"
            )
