"""What the values make of the pods: who runs in them, what is mounted, and what they are told."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.charts import checks, helm, schemas
from tests.charts.objects import Pod, all_pods, env, mounts, of_kind, services, volumes

_LONGEST_NAME = "a" * 53
_NULLS = dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))
_FETCHED: dict[str, Any] = {
    "source": "initFetch",
    "required": ["digits", "tabular"],
    "initFetch": {"url": "s3://models/prod"},
}


def _by_name(values: dict[str, Any]) -> dict[str, Pod]:
    """Every pod that valid values lead to, by name without that of the release."""
    documents = helm.manifests(values, api_versions=helm.API_VERSIONS)
    assert checks.findings(documents) == []
    assert list(schemas.invalid(documents, helm.KUBE_VERSIONS[1])) == []
    return {pod.owner["metadata"]["name"].removeprefix("trireme-"): pod for pod in all_pods(documents)}


def _users(pods: dict[str, Pod]) -> dict[str, set[int]]:
    """Numbers of user and groups, of every pod."""
    contexts = {name: pod.spec["securityContext"] for name, pod in pods.items()}
    return {name: {one for key, one in told.items() if key in _NULLS} for name, told in contexts.items()}


def test_the_pods_have_one_user_and_redis_that_of_its_image() -> None:
    found = _users(_by_name({"gateway": {"podSecurityContext": {"runAsGroup": 0}}}))
    assert found.pop("gateway") == {10001, 0}
    assert found.pop("cache") == {999}
    assert set(map(frozenset, found.values())) == {frozenset({10001})}


def test_nulls_leave_users_to_the_cluster() -> None:
    documents = helm.manifests(
        {
            "defaults": {"podSecurityContext": _NULLS},
            "cache": {"embedded": {"podSecurityContext": _NULLS}},
        }
    )
    contexts = [pod.spec["securityContext"] for pod in all_pods(documents)]
    assert len(contexts) == 6
    assert [context for context in contexts if set(context) & set(_NULLS)] == []
    assert all(context["runAsNonRoot"] for context in contexts)
    pool = {"default": {"podSecurityContext": _NULLS}}
    (inference,) = [
        pod
        for pod in all_pods(helm.manifests({"inference": {"pools": pool}}))
        if pod.component == "inference"
    ]
    assert not set(inference.spec["securityContext"]) & set(_NULLS)


@pytest.mark.parametrize("number", [0, 1.5, "10001"])
def test_users_that_restricted_would_refuse_are_refused(number: object) -> None:
    with pytest.raises(helm.HelmError, match="podSecurityContext/runAsUser"):
        helm.manifests({"defaults": {"podSecurityContext": {"runAsUser": number}}})


def test_volumes_of_ones_own_are_mounted_in_the_services_and_in_the_fetch() -> None:
    authority = {"name": "authority", "secret": {"secretName": "authority"}}
    pods = _by_name(
        {
            "model": _FETCHED,
            "defaults": {
                "tmpSize": "1Gi",
                "extraVolumes": [authority],
                "extraVolumeMounts": [{"name": "authority", "mountPath": "/authority", "readOnly": True}],
            },
            "gateway": {"tmpSize": "64Mi", "extraVolumes": [], "extraVolumeMounts": []},
        }
    )
    with_it = {name for name, pod in pods.items() if authority in pod.spec["volumes"]}
    assert with_it == {"preprocess", "inference-default", "postprocess"}
    for name in with_it:
        assert [one["name"] for one in pods[name].containers] == ["models", pods[name].component]
        assert all("/authority" in mounts(container) for container in pods[name].containers)
    sizes = {name: volumes(pods[name].spec)["tmp"]["emptyDir"]["sizeLimit"] for name in ("gateway", *with_it)}
    assert sizes == {"gateway": "64Mi", **dict.fromkeys(with_it, "1Gi")}


def test_a_variable_is_replaced_as_a_whole_whatever_it_comes_from() -> None:
    secret = {"secretKeyRef": {"name": "a", "key": "b", "optional": True}}
    own = {"secretKeyRef": {"name": "c", "key": "d"}}
    config = {"configMapKeyRef": {"name": "e", "key": "f"}}
    pods = _by_name(
        {
            "defaults": {"env": {"A": secret, "B": secret}},
            "gateway": {"env": {"A": config, "B": "text"}},
            "preprocess": {"env": {"A": own, "TRIREME_PREPROCESS_THREADS": 3}},
            "inference": {"env": {"A": config}, "pools": {"default": {"env": {"A": own}}}},
        }
    )
    told = {
        name: env(pods[name].main) for name in ("gateway", "preprocess", "postprocess", "inference-default")
    }
    assert {name: one["A"] for name, one in told.items()} == {
        "gateway": config,
        "preprocess": own,
        "postprocess": secret,
        "inference-default": own,
    }
    assert (told["gateway"]["B"], told["postprocess"]["B"]) == ("text", secret)
    asked = {"resourceFieldRef": {"resource": "requests.cpu"}}
    assert told["preprocess"]["TRIREME_PREPROCESS_THREADS"] == "3"
    assert told["postprocess"]["TRIREME_POSTPROCESS_THREADS"] == asked
    assert told["inference-default"]["TRIREME_INFERENCE_THREADS"] == asked


def test_a_pool_may_take_some_models_alone() -> None:
    pools = {"default": None, "digits": {"models": ["digits"]}, "rest": {}}
    pods = _by_name({"model": _FETCHED, "inference": {"pools": pools}})
    assert {name for name in pods if name.startswith("inference")} == {"inference-digits", "inference-rest"}
    key = "TRIREME_MODELS_SOURCE_MODELS"
    taken = {pod.component + name: env(one).get(key) for name, pod in pods.items() for one in pod.containers}
    assert {name for name, models in taken.items() if models} == {"inferenceinference-digits"}
    assert [env(one).get(key) for one in pods["inference-digits"].containers] == ["digits", "digits"]
    required = {
        name: env(pods[f"inference-{name}"].main)["TRIREME_INFERENCE_REQUIRED_MODELS"]
        for name in ("digits", "rest")
    }
    assert required == {"digits": "digits", "rest": "digits,tabular"}


def test_the_fetch_is_the_first_process_and_hears_sigterm() -> None:
    fetch = ["python", "-m", "trireme_common.remote", "fetch", "--timeout-seconds", "3600"]
    once = {**_FETCHED, "initFetch": {**_FETCHED["initFetch"], "follow": False}}
    for model, command in ((_FETCHED, [*fetch, "--if-any"]), (once, fetch)):
        pods = services(helm.manifests({"model": model}))
        assert [one["command"] for pod in pods for one in pod.spec.get("initContainers", [])] == [command] * 3


def test_a_part_of_a_gpu_tolerates_the_taint_of_the_whole_one_too() -> None:
    taint = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    digest = "sha256:" + "b" * 64
    mig: dict[str, Any] = {"mode": "extended", "resourceName": "nvidia.com/mig-1g.10gb"}
    pools = {
        "cpu": {},
        "mig": {"gpu": mig, "image": {"digest": digest}},
        "own": {"gpu": {"mode": "extended"}, "tolerations": [taint], "image": {"digest": ""}},
    }
    pods = _by_name({"inference": {"pools": pools, "image": {"digest": "sha256:" + "a" * 64}}})
    keys = [one["key"] for one in pods["inference-mig"].spec["tolerations"]]
    assert keys == ["nvidia.com/mig-1g.10gb", "nvidia.com/gpu"]
    assert pods["inference-own"].spec["tolerations"] == [taint]
    assert "tolerations" not in pods["inference-cpu"].spec
    images = {name: pods[f"inference-{name}"].main["image"].partition("inference")[2] for name in pools}
    assert images == {"cpu": "@sha256:" + "a" * 64, "mig": f"@{digest}", "own": ":0.1.0-gpu"}


def test_another_claim_has_another_name() -> None:
    names: set[str] = set()
    for gpu in ({"count": 1}, {"count": 2}, {"deviceClassName": "mig.nvidia.com"}):
        pools = {"fifteen-letters": {"gpu": {"mode": "dra", **gpu}}, "default": None}
        documents = helm.manifests({"inference": {"pools": pools}}, name=_LONGEST_NAME)
        (template,) = of_kind(documents, "ResourceClaimTemplate")
        (pod,) = [one for one in services(documents) if one.component == "inference"]
        name = template["metadata"]["name"]
        assert pod.spec["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": name}]
        assert re.fullmatch(r"[-a-z0-9]{1,63}", name)
        names.add(name)
    assert len(names) == 3
