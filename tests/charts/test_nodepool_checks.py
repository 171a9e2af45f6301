"""The checks of node pools: each is shown mistakes in objects written here, and must find them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.charts import schemas
from tests.charts.checks import nodepools
from tests.charts.helm import KUBE_VERSIONS, Document

_KEEP = {"helm.sh/resource-policy": "keep"}
_OBJECTS: list[Document] = [
    {
        "apiVersion": "karpenter.sh/v1",
        "kind": "NodePool",
        "metadata": {"name": "gpu", "annotations": _KEEP},
        "spec": {
            "limits": {"nvidia.com/gpu": 8},
            "template": {
                "spec": {
                    "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "gpu"},
                    "requirements": [
                        {
                            "key": "karpenter.k8s.aws/instance-gpu-name",
                            "operator": "In",
                            "values": ["l4", "a10g"],
                        }
                    ],
                    "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
                }
            },
        },
    },
    {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "gpu", "annotations": _KEEP},
        "spec": {
            "role": "nodes",
            "amiSelectorTerms": [{"alias": "al2023@v20261101"}],
            "subnetSelectorTerms": [{"tags": {"karpenter.sh/discovery": "a"}}],
            "securityGroupSelectorTerms": [{"tags": {"karpenter.sh/discovery": "a"}}],
        },
    },
    {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "headroom"},
        "value": -5,
    },
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "headroom"},
        "spec": {"priorityClassName": "headroom", "containers": [{"name": "pause", "image": "pause:3"}]},
    },
]
_CHECKS = (
    nodepools.nodepools_are_kept,
    nodepools.nodepools_are_bounded,
    nodepools.headroom_gives_way_and_is_seen,
)
_MISTAKES: list[tuple[Callable[..., Any], Callable[[list[Document]], Any]]] = [
    (_CHECKS[0], lambda d: d[0]["metadata"].pop("annotations")),
    (_CHECKS[0], lambda d: d[1]["metadata"]["annotations"].update({"helm.sh/resource-policy": "delete"})),
    (_CHECKS[1], lambda d: d[0]["spec"].pop("limits")),
    (_CHECKS[1], lambda d: d[1]["metadata"].update(name="other")),
    (_CHECKS[1], lambda d: d[0]["spec"]["template"]["spec"].pop("taints")),
    (_CHECKS[2], lambda d: d[2].update(value=-11)),
    (_CHECKS[2], lambda d: d[2].update(value=0)),
    (_CHECKS[2], lambda d: d[2].update(globalDefault=True)),
    (_CHECKS[2], lambda d: d[3]["spec"].pop("priorityClassName")),
]


def test_right_objects_pass() -> None:
    assert list(schemas.invalid(_OBJECTS, KUBE_VERSIONS[1])) == []
    assert [finding for check in _CHECKS for finding in check(_OBJECTS)] == []


@pytest.mark.parametrize("number", range(len(_MISTAKES)))
def test_a_check_finds_its_mistake(number: int) -> None:
    check, mistake = _MISTAKES[number]
    documents = copy.deepcopy(_OBJECTS)
    mistake(documents)
    assert list(check(documents))
