"""The checks themselves: each is shown mistakes, and must find them."""

from __future__ import annotations

import copy
import functools
import json
from typing import Any

import pytest
import yaml

from tests.charts import checks, helm, schemas
from tests.charts.mistakes import MISTAKES
from tests.charts.mutations import VALUES
from tests.charts.network import NAMESPACE_NAME, OUTSIDE, End, Policies
from tests.charts.objects import all_pods, of_kind
from tests.charts.test_manifests import renderer


@functools.cache
def _rendered() -> dict[str, str]:
    return renderer(helm.CHART)(VALUES)


@functools.cache
def _parsed() -> str:
    return json.dumps(helm.documents(_rendered()))


def _documents() -> list[helm.Document]:
    documents: list[helm.Document] = json.loads(_parsed())
    return documents


def test_every_check_is_shown_a_mistake() -> None:
    assert set(MISTAKES) == {check.__name__ for check in checks.CHECKS}


def test_the_objects_are_right_before_a_mistake_is_made() -> None:
    assert checks.findings(_documents(), _rendered()) == []


@pytest.mark.parametrize(
    ("check", "number"), [(check, number) for check, made in MISTAKES.items() for number in range(len(made))]
)
def test_a_check_finds_its_mistake(check: str, number: int) -> None:
    documents = _documents()
    MISTAKES[check][number](documents)
    (found,) = [one for one in checks.CHECKS if one.__name__ == check]
    assert list(found(documents))


@pytest.mark.parametrize("mistake", ["<no value>", "%!s(int=1)", "map[a:1]", "value: 1.6777216e+07"])
def test_14_what_templates_print_by_mistake_is_found(mistake: str) -> None:
    found = checks.findings([], {"one.yaml": f"first: line\nkey: {mistake}"})
    assert [finding.partition(":")[0] for finding in found] == ["point_14_text"]
    assert "line 2" in found[0]


@pytest.mark.parametrize("mistake", ["redis://user:hunter2@cache:6379", "-----BEGIN EC PRIVATE KEY-----"])
def test_10_secrets_in_notes_are_found(mistake: str) -> None:
    found = checks.findings([], {"NOTES.txt": f"Try:\n{mistake}"})
    assert [finding.partition(":")[0] for finding in found] == ["point_10_text"]


def test_1_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match="'a' twice"):
        helm.documents({"one.yaml": "a: 1\nb: {a: 1}\na: 2"})


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("replica",), 2),
        ("Service", ("ports", 0, "port"), "80"),
        ("ScaledObject", ("minReplicas",), 1),
        ("ScaledObject", ("triggers", 0, "metadata", "threshold"), 4),
        ("ServiceMonitor", ("endpoints", 0, "intervall"), "15s"),
        ("PrometheusRule", ("groups", 0, "rules", 0, "expr"), 1),
    ],
)
def test_1_strict_schemas_refuse(kind: str, path: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(of_kind(_documents(), kind)[0])
    part = document["spec"]
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    assert list(schemas.invalid([document], helm.KUBE_VERSIONS[1]))


def test_1_a_kind_without_a_schema_is_refused() -> None:
    unknown = {"apiVersion": "example.org/v1", "kind": "Boat", "metadata": {"name": "a"}}
    (found,) = schemas.invalid([unknown], helm.KUBE_VERSIONS[1])
    assert "write one from its documentation" in found


def test_9_the_simulated_network_needs_both_ends() -> None:
    documents = _documents()
    labels = {pod.component: pod.labels for pod in all_pods(documents)}
    gateway, cache = End(labels["gateway"]), End(labels["cache"])
    assert Policies(documents).allow(gateway, cache, 6379)
    for name in ("trireme-gateway", "trireme-cache"):
        left = [one for one in documents if (one["kind"], one["metadata"]["name"]) != ("NetworkPolicy", name)]
        assert not Policies(left).allow(gateway, cache, 6379)
    without = [one for one in documents if one["kind"] != "NetworkPolicy"]
    assert Policies(without).allow(cache, gateway, 22)


def _policy_of(rule: dict[str, Any]) -> list[helm.Document]:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]}
    return [{"kind": "NetworkPolicy", "metadata": {"name": "a"}, "spec": spec}]


@pytest.mark.parametrize(
    ("peer", "source", "allowed"),
    [
        ({"podSelector": {}}, End(), True),
        ({"podSelector": {}}, End(namespace="other"), False),
        ({"namespaceSelector": {}}, End(namespace="other"), True),
        ({"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "keda"}}}, End(namespace="other"), False),
        ({"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: "keda"}}}, End(namespace="keda"), True),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}, End({}, "other"), False),
        ({"ipBlock": {"cidr": "203.0.113.0/24"}}, OUTSIDE, True),
        ({"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.7/32"]}}, OUTSIDE, False),
        ({"podSelector": {}}, OUTSIDE, False),
    ],
)  # fmt: skip
def test_9_peers_are_read_as_a_cluster_reads_them(peer: dict[str, Any], source: End, allowed: bool) -> None:
    policies = Policies(_policy_of({"from": [peer], "ports": [{"port": 80, "endPort": 90}]}))
    assert policies.allow(source, End({"a": "c"}), 85) is allowed
    assert not policies.allow(source, End({"a": "c"}), 91)
    assert not policies.allow(source, End({"a": "c"}), 85, "UDP")
