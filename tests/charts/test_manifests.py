"""Every preset on every Kubernetes version: what must hold in the rendered manifests."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from tests.charts import checks, helm
from tests.charts.network import End, Policies
from tests.charts.objects import containers, env, named, of_kind, pods, quantity

_LONG_NAME = "a-release-name-of-fifty-three-characters-as-helm-allow"[:53]
# Which port of which component may be called by whom; None is a pod of the namespace that is not ours.
_HOPS = {
    ("gateway", "preprocess", 50051), ("gateway", "inference", 50052), ("gateway", "postprocess", 50053),
    ("gateway", "cache", 6379), ("smoke", "gateway", 8080),
    (None, "gateway", 8080), (None, "gateway", 8081), (None, "gateway", 9090),
    (None, "preprocess", 9090), (None, "inference", 9090), (None, "postprocess", 9090),
}  # fmt: skip

every = pytest.mark.parametrize(
    ("preset", "kube_version"), [(preset, kube) for preset in helm.presets() for kube in helm.KUBE_VERSIONS]
)


@every
def test_lint_and_client_dry_run_find_nothing(preset: str, kube_version: str) -> None:
    values = helm.preset(preset)
    assert helm.lint(values, kube_version=kube_version) == []
    assert "kind: Deployment" in helm.dry_run(values, kube_version=kube_version)


@every
def test_objects_follow_the_schemas_of_kubernetes(preset: str, kube_version: str) -> None:
    documents = helm.documents(helm.render(helm.preset(preset), kube_version=kube_version))
    assert len(of_kind(documents, "Deployment")) == 5
    for document in documents:
        kubernetes_validate.validate(document, kube_version, strict=True)


@every
def test_semantic_checks_find_nothing(preset: str, kube_version: str) -> None:
    rendered = helm.render(helm.preset(preset), kube_version=kube_version)
    assert checks.problems(helm.documents(rendered)) == []
    assert list(checks.text(rendered)) == []


@pytest.mark.parametrize("preset", helm.presets())
def test_two_renders_are_byte_identical(preset: str) -> None:
    assert helm.render(helm.preset(preset)) == helm.render(helm.preset(preset))


@pytest.mark.parametrize("name", [_LONG_NAME, "1234", "true"])
def test_odd_release_names_give_valid_objects(name: str) -> None:
    assert len(_LONG_NAME) == 53
    pools: dict[str, Any] = {"inference": {"pools": {"default": {}, "fifteen-letters": {}}}}
    documents = helm.manifests(pools, name=name)
    assert checks.problems(documents) == []
    for document in documents:
        kubernetes_validate.validate(document, helm.KUBE_VERSIONS[1], strict=True)
    gateway = next(spec for title, _, spec in pods(documents) if title.endswith("-gateway"))
    services = {service["metadata"]["name"] for service in of_kind(documents, "Service")}
    addresses = [value for key, value in env(gateway["containers"][0]).items() if key.endswith("_ADDRESSES")]
    assert {address.partition(":")[0] for found in addresses for address in found.split(",")} <= services


def test_releases_whose_names_differ_late_share_no_object() -> None:
    one, two = (
        {document["metadata"]["name"] for document in helm.manifests(name=_LONG_NAME[:-1] + end)}
        for end in "xy"
    )
    assert not one & two


@pytest.mark.parametrize("preset", helm.presets())
def test_network_policies_let_through_the_hops_and_nothing_else(preset: str) -> None:
    documents = helm.documents(helm.render(helm.preset(preset)))
    policies = Policies(documents)
    ends = {labels["app.kubernetes.io/component"]: End(labels) for _, labels, _ in pods(documents)}
    ports = {port for _, _, port in _HOPS} | {22}
    for target in ends:
        for source in (None, *ends):
            if source == target:
                continue
            caller = ends[source] if source else End({})
            for port in ports:
                allowed = policies.allow(caller, ends[target], port)
                assert allowed == ((source, target, port) in _HOPS), (source, target, port)


def test_callers_resolve_names_over_both_protocols_and_nobody_calls_out() -> None:
    documents = helm.manifests()
    policies = Policies(documents)
    for _, labels, _ in pods(documents):
        caller = labels["app.kubernetes.io/component"] in ("gateway", "smoke")
        for protocol in ("UDP", "TCP"):
            assert policies.allow_out(End(labels), 53, protocol) == caller
        assert not policies.allow_out(End(labels), 443, "TCP")


def test_preset_kind_fits_a_small_machine() -> None:
    documents = [
        one for one in helm.documents(helm.render(helm.preset("kind"))) if one["kind"] == "Deployment"
    ]
    asked = [
        container["resources"]["requests"] for _, _, spec in pods(documents) for container in containers(spec)
    ]
    assert all(document["spec"]["replicas"] == 1 for document in documents)
    assert sum(quantity(one["cpu"]) for one in asked) <= 1.2
    assert sum(quantity(one["memory"]) for one in asked) <= 3 * 2**30


def test_a_setting_of_one_service_rolls_that_service_alone() -> None:
    before = helm.manifests()
    after = helm.manifests({"gateway": {"env": {"TRIREME_GATEWAY_CACHE_MEMORY_BYTES": 16777216}}})
    changed = [one["metadata"]["name"] for one, two in zip(before, after, strict=True) if one != two]
    assert changed == ["trireme-gateway"]
    gateway = named(after, "Deployment", "trireme-gateway")["spec"]["template"]["spec"]["containers"][0]
    assert env(gateway)["TRIREME_GATEWAY_CACHE_MEMORY_BYTES"] == "16777216"
