"""What the values do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts import checks, helm, schemas
from tests.charts.objects import env, named, of_kind, pods

_ALLOWED: dict[str, Any] = {"auth": {"allowAnonymous": True}}


def _container(documents: list[helm.Document], name: str) -> dict[str, Any]:
    container: dict[str, Any] = named(documents, "Deployment", f"trireme-{name}")["spec"]["template"]["spec"][
        "containers"
    ][0]
    return container


def _checked(values: dict[str, Any], **options: Any) -> list[helm.Document]:
    documents = helm.manifests(values, api_versions=helm.API_VERSIONS, **options)
    assert checks.findings(documents) == []
    assert list(schemas.invalid(documents, helm.KUBE_VERSIONS[1])) == []
    return documents


def test_a_digest_wins_over_a_tag_and_a_tag_over_the_version() -> None:
    digest = "sha256:" + "a" * 64
    documents = _checked(
        {
            "gateway": {"image": {"tag": "1.2.3", "digest": digest}},
            "preprocess": {"image": {"tag": "1.2.3"}},
        }
    )
    assert _container(documents, "gateway")["image"] == f"{helm.REGISTRY}/trireme-gateway@{digest}"
    assert _container(documents, "preprocess")["image"] == f"{helm.REGISTRY}/trireme-preprocess:1.2.3"
    assert _container(documents, "postprocess")["image"] == f"{helm.REGISTRY}/trireme-postprocess:0.1.0"


def test_a_gpu_pool_asks_for_the_device_and_takes_the_gpu_image() -> None:
    pools = {"default": {}, "h100": {"gpu": {"mode": "extended", "count": 2}, "replicas": 3}}
    documents = _checked({"inference": {"pools": pools}})
    pool = named(documents, "Deployment", "trireme-inference-h100")["spec"]
    pod, container = pool["template"]["spec"], _container(documents, "inference-h100")
    assert container["image"].endswith("trireme-inference:0.1.0-gpu")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert env(container)["TRIREME_INFERENCE_DEVICE"] == "cuda"
    assert pool["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert pod["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    assert pool["replicas"] == 3
    addresses = env(_container(documents, "gateway"))["TRIREME_GATEWAY_INFERENCE_ADDRESSES"]
    assert addresses == "trireme-inference-default:50052,trireme-inference-h100:50052"
    assert "nvidia.com/gpu" not in _container(documents, "inference-default")["resources"]["limits"]


@pytest.mark.parametrize("service", ["gateway", "preprocess", "postprocess"])
def test_hpa_takes_the_place_of_replicas(service: str) -> None:
    documents = _checked({service: {"autoscaling": {"type": "hpa", "minReplicas": 3}}})
    (scaler,) = of_kind(documents, "HorizontalPodAutoscaler")
    assert scaler["spec"]["minReplicas"] == 3
    assert scaler["spec"]["metrics"][0]["containerResource"]["container"] == service


def test_an_external_cache_is_named_by_a_secret_and_nothing_else() -> None:
    documents = _checked({"cache": {"mode": "external", "external": {"existingSecret": "redis-url"}}})
    source = env(_container(documents, "gateway"))["TRIREME_GATEWAY_REDIS_URL"]
    assert source == {"secretKeyRef": {"name": "redis-url", "key": "url"}}
    assert not of_kind(documents, "Secret", "ConfigMap")
    assert len(of_kind(documents, "Deployment")) == 4


def test_inference_may_stand_outside() -> None:
    documents = _checked(
        {"inference": {"external": {"addresses": ["triton.models.svc:8001", "10.0.0.9:9000"]}}}
    )
    told = env(_container(documents, "gateway"))
    assert told["TRIREME_GATEWAY_INFERENCE_PROTOCOL"] == "oip"
    assert told["TRIREME_GATEWAY_INFERENCE_ADDRESSES"] == "triton.models.svc:8001,10.0.0.9:9000"
    components = {labels["app.kubernetes.io/component"] for _, labels, _ in pods(documents)}
    assert components == {"gateway", "preprocess", "postprocess", "cache", "smoke"}
    assert not [
        name for name in (document["metadata"]["name"] for document in documents) if "inference" in name
    ]


def test_without_a_cache_the_gateway_hears_of_none() -> None:
    documents = _checked({"cache": {"mode": "off", "sealing": {"existingSecret": "seal"}}})
    assert not [name for name in env(_container(documents, "gateway")) if "REDIS" in name or "SECRET" in name]


def test_gateways_that_share_a_cache_share_its_seal() -> None:
    documents = _checked({"cache": {"sealing": {"existingSecret": "seal"}}})
    source = env(_container(documents, "gateway"))["TRIREME_GATEWAY_CACHE_SECRET"]
    assert source == {"secretKeyRef": {"name": "seal", "key": "secret"}}


def test_embedded_redis_keeps_a_quarter_of_its_memory_free() -> None:
    cache = _container(_checked({"cache": {"embedded": {"memoryMiB": 1024}}}), "cache")
    assert cache["resources"]["limits"]["memory"] == "1024Mi"
    assert cache["args"][cache["args"].index("--maxmemory") + 1] == "768mb"


def test_a_claim_is_mounted_by_the_stages_alone() -> None:
    documents = _checked({"model": {"source": "pvc", "pvc": {"claimName": "models"}}})
    mounting = {
        labels["app.kubernetes.io/component"]
        for _, labels, spec in pods(documents)
        for volume in spec["volumes"]
        if volume.get("persistentVolumeClaim") == {"claimName": "models", "readOnly": True}
    }
    assert mounting == {"preprocess", "inference", "postprocess"}


def test_what_a_service_says_wins_over_the_defaults_also_where_it_is_zero_or_false() -> None:
    documents = _checked(
        {
            "defaults": {"env": {"A": True, "B": 1}, "maxUnavailable": 2, "nodeSelector": {"disk": "ssd"}},
            "gateway": {"env": {"A": False, "B": 0}, "maxUnavailable": 1, "shutdown": {"preStopSeconds": 0}},
        }
    )
    gateway, preprocess = (_container(documents, name) for name in ("gateway", "preprocess"))
    assert {key: env(gateway)[key] for key in "AB"} == {"A": "false", "B": "0"}
    assert {key: env(preprocess)[key] for key in "AB"} == {"A": "true", "B": "1"}
    assert "lifecycle" not in gateway
    assert named(documents, "PodDisruptionBudget", "trireme-gateway")["spec"]["maxUnavailable"] == 1
    assert named(documents, "PodDisruptionBudget", "trireme-preprocess")["spec"]["maxUnavailable"] == 2


def test_routes_lead_to_the_gateway() -> None:
    route: dict[str, Any] = {
        "type": "ingress",
        "hostnames": ["trireme.example"],
        "tlsSecretName": "certificate",
    }
    (ingress,) = of_kind(_checked({"route": route, "gateway": _ALLOWED}), "Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == "trireme.example"
    assert rule["http"]["paths"][0]["backend"]["service"] == {
        "name": "trireme-gateway",
        "port": {"name": "http"},
    }
    route = {"type": "httproute", "parentRefs": [{"name": "public"}]}
    documents = _checked({"route": route, "gateway": _ALLOWED})
    (found,) = of_kind(documents, "HTTPRoute")
    assert found["spec"]["rules"][0]["backendRefs"] == [{"name": "trireme-gateway", "port": 8080}]
    assert found["spec"]["rules"][0]["timeouts"] == {"request": "35s"}


def test_a_pod_sleeps_by_itself_before_kubernetes_knows_how() -> None:
    container = _container(helm.manifests(kube_version="1.29.4"), "gateway")
    assert container["lifecycle"]["preStop"]["exec"]["command"][-1] == "import time; time.sleep(5)"


def test_notes_name_the_next_commands_and_no_secret() -> None:
    notes = helm.render(helm.with_registry({}))["trireme/templates/NOTES.txt"]
    assert "helm -n models test trireme" in notes
    assert "service/trireme-gateway 8080" in notes
