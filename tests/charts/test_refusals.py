"""Which values are refused, and with what words: by the schema, and by the templates."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.charts import helm
from tests.charts.cases import charts

_ANYONE = {"auth": {"allowAnonymous": True}}
_KEDA = {"type": "keda"}


def _pool(**values: Any) -> dict[str, Any]:
    return {"inference": {"pools": {"default": values}}}


# Values, the words of the refusal, and the cluster where it is another than one that has everything.
_REFUSED: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"serviceAccount": {"name": "a", "annotations": {"b": "c"}}}, "annotate it yourself", {}),
    ({"monitoring": {"rules": {"enabled": True}}}, "needs the Prometheus operator", {"api_versions": ()}),
    ({"model": {"source": "pvc"}}, "needs model.pvc.claimName", {}),
    ({"model": {"source": "initFetch"}}, "needs model.initFetch.url", {}),
    ({"model": {"initFetch": {"url": "s3://a"}}}, "say model.source=initFetch", {}),
    (
        {"model": {"source": "initFetch", "initFetch": {"url": "http://a/b"}}},
        "say model.initFetch.allowHttp=true",
        {},
    ),
    ({"model": {"source": "image"}}, "needs Kubernetes 1.35 or later", {"kube_version": "1.34.0"}),
    ({"gateway": {"service": {"loadBalancerClass": "a"}}}, "are for gateway.service.type=LoadBalancer", {}),
    ({"route": {"type": "ingress"}}, "gateway.auth.allowAnonymous=true", {}),
    ({"gateway": {"service": {"type": "LoadBalancer"}}}, "gateway.auth.allowAnonymous=true", {}),
    (
        {"gateway": {"service": {"loadBalancerClass": "internal"}}},
        "are for gateway.service.type=LoadBalancer",
        {},
    ),
    ({"route": {"type": "httproute"}, "gateway": _ANYONE}, "needs the Gateway API", {"api_versions": ()}),
    ({"route": {"type": "httproute"}, "gateway": _ANYONE}, "needs route.parentRefs", {}),
    (
        {
            "gateway": _ANYONE,
            "route": {
                "type": "httproute",
                "parentRefs": [{"name": "a"}],
                "hostnames": ["a.example"],
                "grpcHostnames": ["a.example"],
            },
        },
        "give gRPC a name of its own",
        {},
    ),
    ({"route": {"grpcHostnames": ["a.example"]}}, "needs route.type=httproute", {}),
    (
        {"route": {"hostnames": ["a.example"], "tlsSecretName": "a", "paths": ["/predict"]}},
        "route.type=none does not read route.hostnames, route.tlsSecretName, route.paths",
        {},
    ),
    ({"route": {"grpcMethods": ["ModelInfer"]}}, "says what comes in by route.grpcHostnames", {}),
    (
        {
            "route": {"type": "httproute", "parentRefs": [{"name": "a"}], "ingressClassName": "a"},
            "gateway": _ANYONE,
        },
        "route.type=httproute does not read route.ingressClassName",
        {},
    ),
    (
        {"route": {"type": "ingress", "parentRefs": [{"name": "a"}]}, "gateway": _ANYONE},
        "route.type=ingress does not read route.parentRefs",
        {},
    ),
    (
        {
            "route": {"type": "httproute", "parentRefs": [{"name": "a"}], "tlsSecretName": "a"},
            "gateway": _ANYONE,
            "tls": {"mode": "existingSecrets"},
        },
        "whose listener names the Secret",
        {},
    ),
    (
        {"gateway": {"service": {"externalTrafficPolicy": "Local"}}},
        "which gateway.service.type=ClusterIP",
        {},
    ),
    (
        {"gateway": {"service": {"trafficDistribution": "PreferClose"}}},
        "trafficDistribution=PreferClose needs Kubernetes 1.31 or later",
        {"kube_version": "1.30.0"},
    ),
    (
        {"gateway": {"service": {"trafficDistribution": "PreferSameNode"}}},
        "trafficDistribution=PreferSameNode needs Kubernetes 1.34 or later",
        {"kube_version": "1.33.0"},
    ),
    ({"cache": {"mode": "external"}}, "needs cache.external.existingSecret", {}),
    ({"tls": {"mode": "certManager"}}, "needs cert-manager", {"api_versions": ()}),
    ({"tls": {"mode": "certManager"}, "cache": {"mode": "off"}}, "has nothing to make a certificate for", {}),
    ({"tls": {"mode": "certManager"}}, "needs tls.certManager.issuerRef.name", {}),
    (
        {
            "tls": {"mode": "existingSecrets", "existingSecrets": {"cache": "a"}},
            "cache": {"mode": "off"},
        },
        "is for the embedded Redis",
        {},
    ),
    ({"tls": {"mode": "existingSecrets"}}, "names no Secret", {}),
    ({"tls": {"existingSecrets": {"cache": "a"}}}, "say tls.mode=existingSecrets", {}),
    ({"gateway": {"autoscaling": {"type": "hpa", "minReplicas": 11}}}, "minReplicas is larger", {}),
    (
        {"preprocess": {"autoscaling": {"type": "hpa", "signals": {"cpuPercent": 0}}}},
        "has nothing to scale on",
        {},
    ),
    (
        {"gateway": {"autoscaling": {"type": "keda", "signals": {"requestsInFlight": 0}}}},
        "needs signals.requestsInFlight",
        {},
    ),
    (_pool(autoscaling=_KEDA), "needs KEDA 2.18 or later", {"api_versions": ()}),
    (_pool(autoscaling={**_KEDA, "fallback": {"replicas": 11}}), "outside of minReplicas", {}),
    (_pool(autoscaling={**_KEDA, "signals": {"metrics": [{}]}}), "are for type=hpa", {}),
    (
        _pool(autoscaling={"type": "hpa", "behavior": {"scaleUp": {"tolerance": "0.05"}}}),
        "needs Kubernetes 1.35 or later",
        {"kube_version": "1.34.0"},
    ),
    ({"inference": {"pools": {"default": None}}}, "at least one pool", {}),
    (
        {"inference": {"external": {"addresses": ["triton:8001"]}, "pools": {"gpu": {}}}},
        "the pools default, gpu would get no request",
        {},
    ),
    (
        {
            "inference": {
                "image": {"digest": "sha256:" + "a" * 64},
                "pools": {"l4": {"gpu": {"mode": "extended"}}},
            }
        },
        "the digest of the image registry.example/team/trireme-inference:0.1.0-gpu",
        {},
    ),
    (_pool(models=["digits"]), "inference.pools.default.models needs model.source=initFetch", {}),
    (
        {
            **_pool(models=["digits"]),
            "model": {"source": "initFetch", "initFetch": {"url": "s3://a", "models": ["tabular"]}},
        },
        "digits is none of model.initFetch.models",
        {},
    ),
    (_pool(gpu={"mode": "dra"}), "needs Kubernetes 1.34 or later", {"kube_version": "1.33.0"}),
    (_pool(autoscaling={"idleToZero": True}), "needs autoscaling.type=keda", {}),
    (
        {**_pool(autoscaling={**_KEDA, "idleToZero": True}), "gateway": {"queue": {"maxWaitSeconds": 31}}},
        "ends requests before",
        {},
    ),
    (
        {**_pool(autoscaling={**_KEDA, "idleToZero": True}), "gateway": {"queue": {"maxDepth": 0}}},
        "holds requests while a pod starts",
        {},
    ),
    ({"gateway": {"requestTimeoutSeconds": 60}}, "it must be at least 63", {}),
    (_pool(shutdown={"drainSeconds": 5}), "inference.pools.default: shutdown.drainSeconds is 5", {}),
]


@pytest.mark.parametrize(
    "values",
    [
        {"nonsense": 1},
        {"gateway": {"nonsense": 1}},
        {"preprocess": {"resources": {"limits": {"memmory": "1Gi"}}}},
        {"inference": {"pools": {"default": {"nonsense": 1}}}},
        {"inference": {"pools": {"a-name-that-is-too-long": {}}}},
        {"inference": {"startupMinutes": 10}},
        {"gateway": {"replicas": "2"}},
        {"gateway": {"image": {"tag": "latest"}}},
        {"gateway": {"image": {"digest": "sha256:short"}}},
        {"gateway": {"autoscaling": {"type": "vpa"}}},
        {"gateway": {"autoscaling": {"fallback": {"nonsense": 1}}}},
        {"preprocess": {"env": {"NOT-A-NAME": "x"}}},
        {"cache": {"mode": "sentinel"}},
        {"keda": {"pollingSeconds": 0}},
        {"route": {"paths": []}},
        {"route": {"paths": ["v1"]}},
        {"route": {"paths": ["/v1/"]}},
        {"route": {"paths": ["/v1//models"]}},
        {"networkPolicy": {"dnsPorts": []}},
        {"gateway": {"service": {"externalTrafficPolicy": "local"}}},
    ],
    ids=json.dumps,
)
def test_values_that_the_schema_does_not_know_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm.HelmError, match="schema"):
        helm.manifests(values)


@pytest.mark.parametrize(("values", "words", "cluster"), _REFUSED, ids=[words for _, words, _ in _REFUSED])
def test_values_that_contradict_each_other_are_refused(
    values: dict[str, Any], words: str, cluster: dict[str, Any]
) -> None:
    assert words in _refusal(json.dumps(values), json.dumps(cluster))


@functools.cache
def _refusal(values: str, cluster: str) -> str:
    options = {"api_versions": helm.API_VERSIONS, **json.loads(cluster)}
    with pytest.raises(helm.HelmError) as refused:
        helm.manifests(json.loads(values), **options)
    return str(refused.value)


def _sentences(chart: Path) -> Iterator[str]:
    """Every sentence that the templates refuse values with, as a pattern."""
    for path in sorted((chart / "templates").rglob("*.*")):
        for found in re.finditer(r'fail \(?(?:printf )?"((?:\\.|[^"\\])*)"', path.read_text()):
            sentence = re.escape(json.loads(f'"{found[1]}"').strip())
            yield re.sub(r"%[sdq]", lambda _: ".*", sentence)


def test_every_sentence_of_a_refusal_is_heard() -> None:
    said = [_refusal(json.dumps(values), json.dumps(cluster)) for values, _, cluster in _REFUSED]
    with pytest.raises(helm.HelmError) as refused:
        helm.render({})
    said.append(str(refused.value))
    assert [
        sentence for sentence in _sentences(helm.CHART) if not any(re.search(sentence, one) for one in said)
    ] == []


def test_without_a_registry_the_chart_says_how_to_build_and_push() -> None:
    with pytest.raises(
        helm.HelmError, match=r"(?s)global\.imageRegistry is required.*make images images-push"
    ):
        helm.render({})


def test_old_clusters_are_refused() -> None:
    with pytest.raises(helm.HelmError, match="kubeVersion"):
        helm.dry_run(helm.with_registry({}), kube_version="1.28.0")
    # A vendor's suffix is no pre-release.
    helm.dry_run(helm.with_registry({}), kube_version="1.32.5-gke.1000")


def _open_maps(schema: Any, path: str) -> Iterator[str]:
    """Paths of maps that take any key without having said of what kind."""
    if not isinstance(schema, dict):
        return
    if (
        schema.get("type") == "object"
        and "properties" in schema
        and schema.get("additionalProperties") is not False
    ):
        yield path
    for word in ("properties", "$defs"):
        for name, one in schema.get(word, {}).items():
            yield from _open_maps(one, f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        yield from _open_maps(schema.get(word), f"{path}[]")
    for one in schema.get("oneOf", []):
        yield from _open_maps(one, path)


@pytest.mark.parametrize("chart", charts(), ids=lambda chart: str(chart.name))
def test_1_every_map_of_the_values_is_closed_or_says_what_it_holds(chart: Path) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    assert list(_open_maps(schema, "")) == []
    assert schema["additionalProperties"] is False
