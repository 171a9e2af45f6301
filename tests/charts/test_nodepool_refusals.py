"""Which values the chart of node pools refuses, and with what words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.charts import helm
from tests.charts.checks.renders import merged
from tests.charts.nodepools import AUTO, AWS, AZURE, CHART, GKE, LIMITS, render


def _gpu(**values: Any) -> dict[str, Any]:
    return {"pools": {"gpu": values}}


# Values, changes to them, the words of the refusal, and the cluster where it lacks something.
_REFUSED: list[tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]] = [
    (AWS, {}, "Karpenter", {"api_versions": ()}),
    (AUTO, {}, "EKS Auto Mode", {"api_versions": ("karpenter.sh/v1",)}),
    (AZURE, {}, "AKS node auto-provisioning", {"api_versions": ()}),
    (GKE, {}, "GKE's ComputeClass", {"api_versions": ()}),
    (AWS, {"provider": "none"}, "provider=none would make none of them", {}),
    (GKE, {"gke": {"quotaNamespaces": []}}, "needs gke.quotaNamespaces", {}),
    (AWS, {**_gpu(headroom={"replicas": 1}), "global": {"imageRegistry": ""}}, "Mirror it", {}),
    (
        AWS,
        {**_gpu(headroom={"replicas": 1}), "headroom": {"mode": "capacityBuffer"}},
        "the CapacityBuffer API",
        {"api_versions": ("karpenter.sh/v1", "karpenter.k8s.aws/v1")},
    ),
    ({**AWS, "pools": {"gpu": {"limits": {}}}}, {}, "nothing would bound what the pool costs", {}),
    ({**AWS, "pools": {"gpu": {"limits": {"cpu": 8}}}}, {}, "does not bound GPUs", {}),
    (GKE, _gpu(limits={"cpu": 8}), "cannot be kept on GKE", {}),
    (GKE, _gpu(limits={"nvidia.com/gpu": "500m"}), "a whole number above 0", {}),
    (GKE, _gpu(gpu={"names": []}), "needs gpu.names on GKE", {}),
    (GKE, _gpu(families=["g2", "n1"]), "takes one number of GPUs and one machine family", {}),
    (GKE, _gpu(weight=1), "are Karpenter's", {}),
    (GKE, _gpu(expireAfterHours=336), "the cluster's maintenance windows", {}),
    (GKE, _gpu(disruption={"budgets": [{"nodes": "1"}]}), "disruption.budgets are Karpenter's", {}),
    (GKE, _gpu(architecture="arm64"), "its machine types have one", {}),
    (GKE, _gpu(capacity=["reserved"]), "reserved is for karpenterAws and eksAuto", {}),
    (AWS, {"aws": {"clusterName": ""}}, "needs aws.clusterName", {}),
    (AUTO, {**_gpu(nodeClass=""), "aws": {"clusterName": "a"}}, "cluster.computeConfig.nodeRoleArn", {}),
    (AWS, _gpu(capacity=["reserved", "spot"]), "reserved needs aws.capacityReservationSelectorTerms", {}),
    (AWS, _gpu(headroom={"replicas": 1, "gpus": 2}), "headroom.gpus is 2", {}),
    (AUTO, _gpu(expireAfterHours=505), "504 hours (21 days) at most", {}),
    (AUTO, _gpu(expireAfterHours=0), "504 hours (21 days) at most", {}),
    (
        AWS,
        _gpu(disruption={"budgets": [{"nodes": "0", "schedule": "@daily"}]}),
        "schedule and duration come together",
        {},
    ),
    (AUTO, _gpu(sharing={"mode": "mig", "config": "a"}), "lets nobody configure it", {}),
    (AWS, _gpu(sharing={"mode": "timeSlicing"}), "needs pools.gpu.sharing.config", {}),
    (GKE, _gpu(sharing={"mode": "mig"}), "needs pools.gpu.sharing.config", {}),
    (AWS, _gpu(sharing={"mode": "mps", "config": "a"}, gpu={"enabled": False}), "shares GPUs", {}),
    (AZURE, _gpu(devices="dra"), "makes no nodes for resource claims", {}),
    (AWS, _gpu(devices="dra"), "needs Kubernetes 1.34 or later", {"kube_version": "1.33.0"}),
    (AWS, _gpu(devices="dra", sharing={"mode": "mig", "config": "a"}), "takes no sharing.mode", {}),
    (AWS, _gpu(devices="dra", headroom={"replicas": 1}), "takes no headroom", {}),
]


def _refusal(values: dict[str, Any], cluster: dict[str, Any]) -> str:
    with pytest.raises(helm.HelmError) as refused:
        render({"global": {"imageRegistry": helm.REGISTRY}} | values, **cluster)
    return str(refused.value)


@pytest.mark.parametrize(
    ("values", "changes", "words", "cluster"), _REFUSED, ids=[one[2] for one in _REFUSED]
)
def test_values_that_cannot_be_are_refused(
    values: dict[str, Any], changes: dict[str, Any], words: str, cluster: dict[str, Any]
) -> None:
    assert words in _refusal(merged(values, changes), cluster)


def _sentences() -> Iterator[str]:
    for found in re.finditer(
        r'fail \(?(?:printf )?"((?:\\.|[^"\\])*)"', (CHART / "templates" / "_validate.tpl").read_text()
    ):
        sentence = re.escape(json.loads(f'"{found[1]}"').strip())
        yield re.sub(r"%[sd]", lambda _: ".*", sentence)


def test_every_sentence_of_a_refusal_is_heard() -> None:
    said = [_refusal(merged(values, changes), cluster) for values, changes, _, cluster in _REFUSED]
    assert len(list(_sentences())) > 20
    assert [one for one in _sentences() if not any(re.search(one, text) for text in said)] == []


@pytest.mark.parametrize(
    "values",
    [
        {"nonsense": 1},
        {"provider": "openstack"},
        _gpu(limits=LIMITS, nonsense=1),
        _gpu(limits={"nvidia.com/gpu": -1}),
        _gpu(limits=LIMITS, capacity=[]),
        _gpu(limits=LIMITS, disruption={"budgets": [{"nodes": "half"}]}),
        {"priorityClasses": {"headroom": {"value": -11}}},
        {"priorityClasses": {"headroom": {"value": 0}}},
        {"headroom": {"image": {"tag": "latest"}}},
        {"pools": {"a-name-that-is-too-long": {"limits": LIMITS}}},
    ],
    ids=json.dumps,
)
def test_values_that_the_schema_does_not_know_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmError, match="schema"):
        render(values)
