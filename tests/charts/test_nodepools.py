"""What is special to the chart of node pools: limits, taints, priorities, headroom, one provider at a time.

The points that hold of every chart are checked over its presets and `ci/` in test_manifests.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.charts import checks, helm, schemas
from tests.charts.cases import Case, cases
from tests.charts.checks.renders import merged
from tests.charts.nodepools import AWS, CHART, GKE, PROVIDERS, render
from tests.charts.objects import named, of_kind, quantity, title

_KINDS = {
    "karpenterAws": {"NodePool", "EC2NodeClass"},
    "eksAuto": {"NodePool"},
    "karpenterAzure": {"NodePool", "AKSNodeClass"},
    "gke": {"ComputeClass", "ResourceQuota"},
    "none": set(),
}


def _made(values: dict[str, Any], **changes: Any) -> list[helm.Document]:
    """Objects of valid values, with changes to the pool `gpu`."""
    pool = {"pools": {"gpu": changes}} if changes else {}
    rendered = render(helm.with_registry(merged(values, pool)))
    documents = helm.documents(rendered)
    assert checks.findings(documents, rendered, chart=CHART.name) == []
    assert list(schemas.invalid(documents, helm.KUBE_VERSIONS[1])) == []
    return documents


def _pool(values: dict[str, Any], **changes: Any) -> dict[str, Any]:
    spec: dict[str, Any] = named(_made(values, **changes), "NodePool", "pools-gpu")["spec"]
    return spec


def _requirements(spec: dict[str, Any]) -> dict[str, list[str]]:
    return {one["key"]: one["values"] for one in spec["template"]["spec"]["requirements"]}


@pytest.mark.parametrize("provider", _KINDS)
def test_only_the_objects_of_the_provider_are_made(provider: str) -> None:
    documents = _made(PROVIDERS.get(provider, {}))
    assert {one["kind"] for one in documents} == _KINDS[provider] | {"PriorityClass"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_limits_are_required_by_the_schema(provider: str) -> None:
    with pytest.raises(helm.HelmError, match=r"(?s)schema.*limits"):
        render({**PROVIDERS[provider], "pools": {"gpu": {"gpu": {"names": ["l4"]}}}})


@pytest.mark.parametrize("provider", ["karpenterAws", "eksAuto", "karpenterAzure"])
def test_limits_arrive_as_text_and_large_ones_without_an_exponent(provider: str) -> None:
    limits = {"nvidia.com/gpu": 16777216, "cpu": "200", "memory": "1Ti", "nodes": 4}
    assert _pool(PROVIDERS[provider], limits=limits)["limits"] == {
        "nvidia.com/gpu": "16777216", "cpu": "200", "memory": "1Ti", "nodes": "4",
    }  # fmt: skip


def test_a_quota_keeps_the_limits_of_all_pools_where_a_class_has_none() -> None:
    shared = {
        "limits": {"nvidia.com/gpu": 2},
        "gpu": {"names": ["nvidia-l4"]},
        "sharing": {"mode": "timeSlicing", "clients": 4},
    }
    documents = _made(merged(GKE, {"pools": {"shared": shared}, "gke": {"quotaNamespaces": ["a", "b"]}}))
    quotas = of_kind(documents, "ResourceQuota")
    assert [one["metadata"]["namespace"] for one in quotas] == ["a", "b"]
    assert [one["spec"]["hard"] for one in quotas] == [{"requests.nvidia.com/gpu": "16"}] * 2


def test_pods_of_trireme_tolerate_the_taints_of_a_pool() -> None:
    (taint,) = _pool(AWS)["template"]["spec"]["taints"]
    app = helm.manifests({"inference": {"pools": {"default": {"gpu": {"mode": "extended"}}}}})
    (toleration,) = named(app, "Deployment", "trireme-inference-default")["spec"]["template"]["spec"][
        "tolerations"
    ]
    assert (taint["key"], taint["effect"]) == (toleration["key"], toleration["effect"])
    assert toleration["operator"] == "Exists"


def test_nodes_without_gpus_are_not_tainted() -> None:
    spec = _pool(AWS, gpu={"enabled": False, "names": []}, limits={"cpu": 8})
    assert "taints" not in spec["template"]["spec"]
    assert not any("gpu" in key for key in _requirements(spec))


@pytest.mark.parametrize(
    ("provider", "prefix"),
    [
        ("karpenterAws", "karpenter.k8s.aws/instance"),
        ("eksAuto", "eks.amazonaws.com/instance"),
        ("karpenterAzure", "karpenter.azure.com/sku"),
    ],
)
def test_requirements_have_the_names_of_the_provider(provider: str, prefix: str) -> None:
    changes = {"families": ["g6"], "zones": ["a"], "capacity": ["spot", "on-demand"]}
    assert _requirements(_pool(PROVIDERS[provider], **changes)) == {
        "kubernetes.io/os": ["linux"],
        "kubernetes.io/arch": ["amd64"],
        "karpenter.sh/capacity-type": ["spot", "on-demand"],
        "topology.kubernetes.io/zone": ["a"],
        f"{prefix}-family": ["g6"],
        f"{prefix}-gpu-manufacturer": ["nvidia"],
        f"{prefix}-gpu-name": ["l4"],
        f"{prefix}-gpu-count": ["1"],
    }


def test_disruption_says_what_the_values_say() -> None:
    night = {"nodes": "0", "reasons": ["Drifted"], "schedule": "0 6 * * *", "duration": "18h"}
    disruption = {"policy": "WhenEmptyOrUnderutilized", "consolidateAfterMinutes": 7, "budgets": [night]}
    spec = _pool(AWS, disruption=disruption, expireAfterHours=0, terminationGraceMinutes=5, weight=9)
    assert spec["disruption"] == {
        "consolidationPolicy": "WhenEmptyOrUnderutilized",
        "consolidateAfter": "7m",
        "budgets": [night],
    }
    assert spec["template"]["spec"]["expireAfter"] == "Never"
    assert spec["template"]["spec"]["terminationGracePeriod"] == "5m"
    assert spec["weight"] == 9


def test_a_compute_class_tries_what_the_values_name_first() -> None:
    changes = {"capacity": ["spot", "on-demand"], "gpu": {"names": ["nvidia-l4", "nvidia-tesla-t4"]}}
    made = _made(GKE, **changes, types=["n1-standard-8"], zones=["a"])
    spec = named(made, "ComputeClass", "pools-gpu")["spec"]
    assert [(one["spot"], one["gpu"]["type"]) for one in spec["priorities"]] == [
        (True, "nvidia-l4"),
        (True, "nvidia-tesla-t4"),
        (False, "nvidia-l4"),
        (False, "nvidia-tesla-t4"),
    ]
    assert {one["machineType"] for one in spec["priorities"]} == {"n1-standard-8"}
    assert spec["priorityDefaults"]["location"]["zones"] == ["a"]
    # Below, not at: 0 would keep empty nodes.
    assert spec["autoscalingPolicy"] == {"consolidationDelayMinutes": 10, "gpuConsolidationThreshold": 1}


def test_sharing_is_said_as_each_platform_hears_it() -> None:
    turns = {"mode": "timeSlicing", "clients": 4, "config": "four"}
    parts = {"mode": "mig", "clients": 7, "config": "1g.10gb"}
    labels = [_pool(AWS, sharing=one)["template"]["metadata"]["labels"] for one in (turns, parts)]
    assert labels[0]["nvidia.com/device-plugin.config"] == "four"
    assert labels[1]["nvidia.com/mig.config"] == "1g.10gb"
    classes = [named(_made(GKE, sharing=one), "ComputeClass", "pools-gpu") for one in (turns, parts)]
    assert [one["spec"]["priorities"][0]["gpu"]["gpuSharing"] for one in classes] == [
        {"sharingStrategy": "TIME_SHARING", "maxSharedClientsPerGPU": 4},
        {"gpuPartitionSize": "1g.10gb"},
    ]


def test_resource_claims_keep_the_device_plugin_away() -> None:
    spec = _pool(AWS, devices="dra")
    assert spec["template"]["metadata"]["labels"]["nvidia.com/gpu.deploy.device-plugin"] == "false"
    assert spec["template"]["spec"]["taints"][0]["key"] == "nvidia.com/gpu"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_headroom_is_as_large_as_a_pod_and_gives_way_to_it(provider: str) -> None:
    headroom = {"replicas": 3, "cpu": "3500m", "memory": "10Gi", "gpus": 2}
    documents = _made(PROVIDERS[provider], headroom=headroom, gpu={"counts": [2]})
    deployment = named(documents, "Deployment", "pools-gpu-headroom")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["spec"]["replicas"] == 3
    assert container["resources"] == {
        "requests": {"cpu": "3500m", "memory": "10Gi"},
        "limits": {"memory": "10Gi", "nvidia.com/gpu": 2},
    }
    assert quantity(container["resources"]["requests"]["cpu"]) == 3.5
    assert container["image"] == f"{helm.REGISTRY}/pause:3.10"
    values = {one["metadata"]["name"]: one["value"] for one in of_kind(documents, "PriorityClass")}
    assert values == {"trireme-headroom": -5, "trireme-serving": 1000}
    assert pod["priorityClassName"] == "trireme-headroom"
    assert pod["terminationGracePeriodSeconds"] == 0
    assert _leads(pod["nodeSelector"], documents)


def _leads(selector: dict[str, str], documents: list[helm.Document]) -> bool:
    """Whether a node selector leads to the nodes of the pool `gpu`."""
    for pool in of_kind(documents, "NodePool"):
        return bool(selector.items() <= pool["spec"]["template"]["metadata"]["labels"].items())
    (pool,) = of_kind(documents, "ComputeClass")
    return selector == {"cloud.google.com/compute-class": pool["metadata"]["name"]}


def test_a_capacity_buffer_takes_the_place_of_pods() -> None:
    values = merged(
        GKE, {"headroom": {"mode": "capacityBuffer"}, "pools": {"gpu": {"headroom": {"replicas": 2}}}}
    )
    documents = _made(values)
    assert not of_kind(documents, "Deployment")
    buffer = named(documents, "CapacityBuffer", "pools-gpu-headroom")
    template = named(documents, "PodTemplate", buffer["spec"]["podTemplateRef"]["name"])
    assert buffer["spec"]["replicas"] == 2
    assert buffer["metadata"]["namespace"] == template["metadata"]["namespace"] == helm.NAMESPACE
    assert [one["metadata"]["name"] for one in of_kind(documents, "PriorityClass")] == ["trireme-serving"]
    older = merged(values, {"headroom": {"capacityBufferVersion": "v1alpha1"}})
    apis = (*helm.API_VERSIONS, "autoscaling.x-k8s.io/v1alpha1")
    # Nothing pulls its image, so that it needs no registry.
    made = helm.documents(render(older, api_versions=apis))
    (container,) = of_kind(made, "PodTemplate")[0]["template"]["spec"]["containers"]
    assert container["image"] == "registry.k8s.io/pause:3.10"
    assert of_kind(made, "CapacityBuffer")[0]["apiVersion"] == "autoscaling.x-k8s.io/v1alpha1"
    assert list(schemas.invalid(made, helm.KUBE_VERSIONS[1])) == []


@pytest.mark.parametrize("case", cases(CHART), ids=str)
def test_what_a_node_hangs_on_is_kept(case: Case) -> None:
    for one in helm.documents(case.render()):
        kept = one["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
        # Room that is kept free, and the bound of a namespace, end with the chart.
        ends = one["kind"] in ("Deployment", "PodTemplate", "CapacityBuffer", "ResourceQuota")
        assert kept is not (ends or one["metadata"]["name"] == "trireme-headroom"), title(one)


def test_a_node_class_that_exists_is_used_and_none_is_made() -> None:
    documents = helm.documents(render(merged(AWS, {"pools": {"gpu": {"nodeClass": "shared"}}})))
    assert not of_kind(documents, "EC2NodeClass")
    (pool,) = of_kind(documents, "NodePool")
    assert pool["spec"]["template"]["spec"]["nodeClassRef"]["name"] == "shared"


@pytest.mark.parametrize("name", ["a-release-name-of-fifty-three-characters-as-helm-allow"[:53], "1234"])
@pytest.mark.parametrize("provider", ["karpenterAws", "gke"])
def test_odd_release_names_give_valid_objects(provider: str, name: str) -> None:
    pool = {**PROVIDERS[provider]["pools"]["gpu"], "headroom": {"replicas": 1}}
    values = helm.with_registry({**PROVIDERS[provider], "pools": {"fifteen-letters": pool}})
    rendered = render(values, name=name)
    documents = helm.documents(rendered)
    assert checks.findings(documents, rendered, chart=CHART.name) == []
    assert list(schemas.invalid(documents, helm.KUBE_VERSIONS[1])) == []


_TAINT = {"key": "spot", "effect": "NoSchedule"}
_SPOT = {"key": "spot", "operator": "Exists", "effect": "NoSchedule"}


@pytest.mark.parametrize("others", [{}, {"cpu": {"limits": {"cpu": 8}, "gpu": {"enabled": False}}}], ids=len)
def test_pods_with_the_values_of_the_notes_come_to_the_pools(others: dict[str, Any]) -> None:
    notes = _notes(merged(AWS, {"pools": {"gpu": {"taints": [_TAINT]}, **others}}))
    said = notes.partition("of the chart trireme:\n")[2].partition("\n\n")[0]
    app = helm.manifests(yaml.safe_load(said))
    deployments = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in of_kind(app, "Deployment")
    }
    gpu = deployments["trireme-inference-gpu" if others else "trireme-inference-default"]
    assert gpu["nodeSelector"] == {"trireme/node-pool": "gpu"}
    assert gpu["priorityClassName"] == "trireme-serving"
    assert _SPOT in gpu["tolerations"]
    assert gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert len([name for name in deployments if "inference" in name]) == 1 + len(others)
    # The operator's list replaces its default.
    assert json.loads(notes.partition("the command):\n")[2].splitlines()[0]) == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        _SPOT,
    ]


def test_notes_of_gke_name_the_class_and_no_operator() -> None:
    notes = _notes(merged(GKE, {"pools": {"gpu": {"taints": [_TAINT]}}}))
    assert "cloud.google.com/compute-class: pools-gpu" in notes
    assert "kubectl delete computeclasses,priorityclasses" in notes
    assert "operator's pods" not in notes


def _notes(values: dict[str, Any]) -> str:
    return render(values)[f"{CHART.name}/templates/NOTES.txt"]
