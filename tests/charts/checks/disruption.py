"""Disruption budgets and rollouts: neither may stop a cluster from getting on."""

from __future__ import annotations

from collections.abc import Iterator

from tests.charts.checks.scaling import bounds, target
from tests.charts.helm import Document
from tests.charts.objects import Pod, all_pods, gpus, of_kind, pod_of, selects, title


def point_4_budgets_pick_one_workload(documents: list[Document]) -> Iterator[str]:
    """A PodDisruptionBudget picks the pods of one workload: eviction fails where two apply."""
    pods = [pod for pod in all_pods(documents) if pod.owner["kind"] != "Pod"]
    chosen: dict[str, str] = {}
    for budget in of_kind(documents, "PodDisruptionBudget"):
        picked = _picked(budget, pods)
        if len(picked) != 1:
            yield f"{title(budget)}: spec.selector picks the pods of {[pod.title for pod in picked]}"
        for pod in picked:
            if pod.title in chosen:
                yield f"{title(budget)}: {chosen[pod.title]} picks {pod.title} too; a pod may have one budget"
            chosen[pod.title] = title(budget)


def point_16_budgets_let_drains_through(documents: list[Document]) -> Iterator[str]:
    """A drain gets on: a pod may always go, and one that does not serve is no reason to wait."""
    pods = [pod for pod in all_pods(documents) if pod.owner["kind"] != "Pod"]
    for budget in of_kind(documents, "PodDisruptionBudget"):
        spec = budget["spec"]
        if spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"{title(budget)}: spec.unhealthyPodEvictionPolicy has to be AlwaysAllow"
        if spec.get("maxUnavailable") in (0, "0", "0%"):
            yield f"{title(budget)}: spec.maxUnavailable is 0: no node can be drained"
        least = spec.get("minAvailable", 0)
        for pod in _picked(budget, pods):
            replicas = fewest(pod.owner, documents)
            if least == "100%" or (isinstance(least, int) and least >= replicas):
                yield f"{title(budget)}: spec.minAvailable {least} of {replicas} pods lets none go"


def _picked(budget: Document, pods: list[Pod]) -> list[Pod]:
    return [pod for pod in pods if selects(budget["spec"]["selector"], pod.labels)]


def fewest(workload: Document, documents: list[Document]) -> int:
    """Fewest pods that a workload has."""
    for scaler in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject"):
        if target(scaler) == title(workload):
            return bounds(scaler)[0]
    return int(workload["spec"].get("replicas", 1))


def point_16_no_spare_gpu(documents: list[Document]) -> Iterator[str]:
    """A rollout of GPU pods waits for no GPU beyond those that it has."""
    for workload in of_kind(documents, "Deployment"):
        pod = pod_of(workload)
        assert pod is not None
        strategy = workload["spec"].get("strategy", {})
        surge = strategy.get("rollingUpdate", {}).get("maxSurge", "25%")
        if gpus(pod.spec) and strategy.get("type") != "Recreate" and surge not in (0, "0", "0%"):
            yield (
                f"{title(workload)}: spec.strategy.rollingUpdate.maxSurge is {surge}; "
                "say 0, or a new pod waits for a GPU that nobody has"
            )
