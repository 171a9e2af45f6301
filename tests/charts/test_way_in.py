"""The way in and out: what a route lets through, and what pages and presets say of NetworkPolicies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts import checks, helm, schemas
from tests.charts.network import End, Policies
from tests.charts.objects import STAGES, all_pods, env, named, of_kind
from trireme_gateway.routes import (
    batch,
    embeddings,
    explain,
    health,
    models,
    predict,
    repository,
    statistics,
    v2,
    v2_extensions,
)
from trireme_protos.inference import grpc_service_pb2 as pb

_ROOT = Path(__file__).resolve().parents[2]
_ANYONE: dict[str, Any] = {"auth": {"allowAnonymous": True}}
_HTTPROUTE: dict[str, Any] = {"type": "httproute", "parentRefs": [{"name": "public"}]}
_RESOLVER = End({"dns": "default"}, "openshift-dns")
_PREDICTS = (batch, embeddings, explain, predict)
_MANAGES = (repository, health)
_ROUTERS = (*_PREDICTS, *_MANAGES, models, statistics, v2, v2_extensions)


def _inference_alone() -> list[list[str]]:
    """The lists that the comments of `route.paths` and `route.grpcMethods` offer."""
    text = (helm.CHART / "values.yaml").read_text()
    return [yaml.safe_load(found) for found in re.findall(r"Inference alone is\n\s*# `(\[.*?\])`", text)]


def _templates(*modules: Any) -> list[str]:
    return [route.path for module in modules for route in module.router.routes]


def _lets_in(prefixes: list[str], path: str) -> bool:
    """Prefixes of whole segments, as PathPrefix and Prefix are defined."""
    return any((path + "/").startswith(prefix.rstrip("/") + "/") for prefix in prefixes)


def _rendered(values: dict[str, Any], **options: Any) -> list[helm.Document]:
    documents = helm.manifests(values, api_versions=helm.API_VERSIONS, **options)
    assert checks.findings(documents) == []
    assert list(schemas.invalid(documents, helm.KUBE_VERSIONS[1])) == []
    return documents


def _matches(documents: list[helm.Document]) -> list[tuple[str, str]]:
    """Kind and value of every path that a rendered route lets in."""
    found = []
    for route in of_kind(documents, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            found += [(one["path"]["type"], one["path"]["value"]) for one in rule["matches"]]
    for ingress in of_kind(documents, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            found += [(one["pathType"], one["path"]) for one in rule["http"]["paths"]]
    return found


@pytest.mark.parametrize("page", ["README", "aks", "eks", "gke", "kind", "on-prem"])
def test_pages_open_inference_alone(page: str) -> None:
    text = (_ROOT / "docs" / "kubernetes" / f"{page}.md").read_text()
    assert [yaml.safe_load(found) for found in re.findall(r"^  paths: (.*)$", text, re.MULTILINE)] == (
        _inference_alone()[:1]
    )


def test_a_route_lets_in_whole_segments_of_the_paths_that_are_named() -> None:
    wanted, _ = _inference_alone()
    documents = _rendered({"gateway": _ANYONE, "route": {**_HTTPROUTE, "paths": wanted}})
    prefixes = [("PathPrefix", path) for path in wanted]
    assert _matches(documents) == [*prefixes, ("Exact", "/predict/batch")]
    documents = _rendered({"gateway": _ANYONE, "route": {"type": "ingress", "paths": wanted}})
    assert _matches(documents) == [("Prefix", path) for path in wanted]


def test_a_route_without_predictions_has_no_stream_of_them() -> None:
    documents = _rendered({"gateway": _ANYONE, "route": {**_HTTPROUTE, "paths": ["/v2/models"]}})
    assert _matches(documents) == [("PathPrefix", "/v2/models")]


def test_grpc_lets_in_the_methods_that_are_named() -> None:
    _, wanted = _inference_alone()
    route = {**_HTTPROUTE, "grpcHostnames": ["grpc.example"], "grpcMethods": wanted}
    (found,) = of_kind(_rendered({"gateway": _ANYONE, "route": route}), "GRPCRoute")
    (rule,) = found["spec"]["rules"]
    service = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert [one["method"] for one in rule["matches"]] == [
        {"service": service.full_name, "method": method} for method in wanted
    ]
    assert set(wanted) <= set(service.methods_by_name)
    assert not [name for name in wanted if re.search("Repository|Memory|Setting", name)]


def test_the_list_for_inference_alone_keeps_management_out() -> None:
    wanted, _ = _inference_alone()
    for path in _templates(*_PREDICTS, models, statistics):
        assert _lets_in(wanted, path), path
    for path in [*_templates(*_MANAGES), "/", "/v2", "/v2/logging", "/v2/trace/setting", "/v2/modelsx"]:
        assert not _lets_in(wanted, path), path
    kept_out = [path for path in _templates(*_ROUTERS) if not _lets_in(wanted, path)]
    assert {"/v2/repository/models/{model}/load", "/v2/repository/index", "/metrics"} <= set(kept_out)
    assert [path for path in _templates(v2_extensions) if _lets_in(wanted, path)] == [
        "/v2/models/{model}/trace/setting",
        "/v2/models/{model}/trace/setting",
    ]
    assert all(_lets_in(["/"], path) for path in _templates(*_ROUTERS))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"route": _HTTPROUTE}, True),
        ({"route": {**_HTTPROUTE, "paths": ["/v1"]}}, False),
        ({"route": {**_HTTPROUTE, "paths": ["/v1"], "grpcHostnames": ["a.example"]}}, True),
        (
            {
                "route": {
                    **_HTTPROUTE,
                    "paths": ["/v1"],
                    "grpcHostnames": ["a.example"],
                    "grpcMethods": ["ModelInfer"],
                }
            },
            False,
        ),
        ({"route": {"type": "none"}}, False),
    ],
)
def test_notes_say_that_models_can_be_managed_from_outside(values: dict[str, Any], said: bool) -> None:
    rendered = helm.render(helm.with_registry({"gateway": _ANYONE, **values}), api_versions=helm.API_VERSIONS)
    assert ("model management too" in rendered["trireme/templates/NOTES.txt"]) == said


def test_calls_from_outside_keep_their_address_where_that_is_asked_for() -> None:
    service = {
        "type": "LoadBalancer",
        "externalTrafficPolicy": "Local",
        "trafficDistribution": "PreferSameZone",
    }
    documents = _rendered({"gateway": {**_ANYONE, "service": service}})
    assert named(documents, "Service", "trireme-gateway")["spec"]["externalTrafficPolicy"] == "Local"
    assert "externalTrafficPolicy" not in named(documents, "Service", "trireme-gateway-headless")["spec"]


def _values(page: str, name: str) -> dict[str, Any]:
    """A file of values that a page of docs/kubernetes shows."""
    text = (_ROOT / "docs" / "kubernetes" / f"{page}.md").read_text()
    (found,) = re.findall(rf"```yaml\n(# {re.escape(name)}\n.*?)```", text, re.DOTALL)
    values: dict[str, Any] = yaml.safe_load(found)
    return values


def _preset(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((helm.CHART / "presets" / f"{name}-values.yaml").read_text())
    return values


def test_names_resolve_on_openshift_and_the_cluster_gives_the_users() -> None:
    documents = helm.manifests(_values("on-prem", "openshift.yaml"), api_versions=helm.API_VERSIONS)
    policies = Policies(documents)
    for pod in all_pods(documents):
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(pod.spec["securityContext"]), pod.title
        asks = [policies.allow(End(pod.labels), _RESOLVER, 5353, one) for one in ("UDP", "TCP")]
        assert asks == [pod.component in ("gateway", "smoke")] * 2, pod.title


def test_services_can_listen_where_there_is_ipv6_alone() -> None:
    documents = _rendered(_values("on-prem", "ipv6.yaml"))
    hosts = [
        value for pod in all_pods(documents) for key, value in env(pod.main).items() if key.endswith("_HOST")
    ]
    assert hosts == ["::"] * 4


def test_google_asks_for_the_health_of_the_service_that_the_chart_makes() -> None:
    values = {**_values("gke", "route.yaml"), **_values("gke", "google-gateway.yaml")}
    documents = helm.manifests(values, api_versions=helm.API_VERSIONS)
    policy = named(documents, "HealthCheckPolicy", "trireme-gateway")
    service = named(documents, "Service", policy["spec"]["targetRef"]["name"])
    asked = policy["spec"]["default"]["config"]["httpHealthCheck"]
    assert asked["port"] in [port["port"] for port in service["spec"]["ports"]]
    assert asked["requestPath"] in _templates(health)
    for address in ("35.191.0.9", "130.211.1.9"):
        source = End(namespace="", address=address)
        assert Policies(documents).allow(source, End(service["spec"]["selector"]), asked["port"])


@pytest.mark.parametrize(
    ("values", "metadata"),
    [
        (_preset("gke"), {"169.254.169.254": (80, 8080), "169.254.169.252": (987, 988)}),
        (_preset("eks"), {"169.254.170.23": (80,), "fd00:ec2::23": (80,)}),
        (_values("aks", "identity.yaml"), {"169.254.169.254": (80,)}),
    ],
    ids=["gke", "eks", "aks"],
)
def test_stages_reach_what_gives_them_credentials_and_no_more(
    values: dict[str, Any], metadata: dict[str, tuple[int, ...]]
) -> None:
    model = {"source": "initFetch", "initFetch": {"url": "s3://models"}}
    for source in (model, {"source": "baked"}):
        documents = _rendered({**values, "model": source})
        policies = Policies(documents)
        for pod in all_pods(documents):
            fetches = source == model and pod.component in STAGES
            for address, ports in metadata.items():
                for port in ports:
                    allowed = policies.allow(End(pod.labels), End(namespace="", address=address), port)
                    assert allowed == fetches, (pod.title, address, port)
