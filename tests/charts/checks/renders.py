"""What only several renders show: that they are alike, that values arrive, and what a change rolls.

Each check takes a function from values and options to the text of every template.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from functools import reduce
from typing import Any

from tests.charts import helm
from tests.charts.checks.images import of as images_of
from tests.charts.helm import REGISTRY, Document
from tests.charts.objects import env, named, of_kind, title

Renderer = Callable[..., dict[str, str]]
Changes = tuple[tuple[dict[str, Any], tuple[str, ...]], ...]
_DIGEST = "sha256:" + "0123456789abcdef" * 4
_CUSTOM = (
    "keda.sh/",
    "monitoring.coreos.com/",
    "cert-manager.io/",
    "gateway.networking.k8s.io/",
    "external-secrets.io/",
)

# Two pools, one of which may go to zero, and everything that can be watched.
BASE: dict[str, Any] = {
    "inference": {
        "pools": {
            "default": {"autoscaling": {"type": "keda"}},
            "second": {"autoscaling": {"type": "keda", "idleToZero": True}},
        }
    },
    "monitoring": {part: {"enabled": True} for part in ("serviceMonitors", "rules", "dashboards")},
}
_SERVICES = ("gateway", "preprocess", "postprocess", "inference-*")
# A change of one value, and the workloads whose pods it concerns: those roll, and no others.
ROLLS: Changes = (
    ({"gateway": {"env": {"TRIREME_LOG_LEVEL": "debug"}}}, ("gateway",)),
    ({"preprocess": {"env": {"TRIREME_LOG_LEVEL": "debug"}}}, ("preprocess",)),
    ({"postprocess": {"env": {"TRIREME_LOG_LEVEL": "debug"}}}, ("postprocess",)),
    ({"inference": {"env": {"TRIREME_LOG_LEVEL": "debug"}}}, ("inference-*",)),
    ({"inference": {"pools": {"second": {"env": {"A": "b"}}}}}, ("inference-second",)),
    ({"defaults": {"env": {"A": "b"}}}, _SERVICES),
    ({"gateway": {"requestTimeoutSeconds": 31}}, ("gateway",)),
    ({"gateway": {"queue": {"maxDepth": 7}}}, ("gateway",)),
    ({"gateway": {"image": {"tag": "9.9.9"}}}, ("gateway",)),
    ({"preprocess": {"image": {"tag": "9.9.9"}}}, ("preprocess",)),
    ({"inference": {"image": {"tag": "9.9.9"}}}, ("inference-*",)),
    ({"cache": {"embedded": {"memoryMiB": 512}}}, ("cache",)),
    # A new pool has an address, which the gateway has to hear of.
    ({"inference": {"pools": {"third": {}}}}, ("gateway",)),
    ({"otel": {"endpoint": "http://collector.tracing:4317"}}, _SERVICES),
    # Nothing that a pod is told.
    ({"gateway": {"replicas": 5}}, ()),
    ({"gateway": {"autoscaling": {"type": "hpa"}}}, ()),
    ({"inference": {"pools": {"default": {"autoscaling": {"maxReplicas": 20}}}}}, ()),
    ({"inference": {"pools": {"default": {"autoscaling": {"type": "hpa"}}}}}, ()),
    ({"keda": {"pollingSeconds": 17}}, ()),
    ({"networkPolicy": {"enabled": False}}, ()),
    ({"route": {"type": "ingress"}, "gateway": {"auth": {"allowAnonymous": True}}}, ()),
    ({"monitoring": {"rules": {"enabled": False}}}, ()),
    ({"monitoring": {"serviceMonitors": {"intervalSeconds": 30}}}, ()),
    ({"monitoring": {"dashboards": {"labels": {"other": "1"}}}}, ()),
    ({"smoke": {"enabled": False}}, ()),
)
_GATEWAY, _POOL = "Deployment/gateway", "Deployment/inference-default"
_SETTINGS = "spec.template.spec.containers.0.env"
# Values that are zero, false, empty or large; the object and the path where each shows, and as what.
ARRIVALS: tuple[tuple[dict[str, Any], str, str, Any], ...] = (
    ({"defaults": {"env": {"A": 1}}, "gateway": {"env": {"A": 0}}}, _GATEWAY, f"{_SETTINGS}.A", "0"),
    ({"defaults": {"env": {"A": 1}}, "gateway": {"env": {"A": False}}}, _GATEWAY, f"{_SETTINGS}.A", "false"),
    ({"defaults": {"env": {"A": "x"}}, "inference": {"env": {"A": ""}}}, _POOL, f"{_SETTINGS}.A", ""),
    ({"gateway": {"env": {"A": 16777216}}}, _GATEWAY, f"{_SETTINGS}.A", "16777216"),
    ({"inference": {"env": {"A": 8589934592}}}, _POOL, f"{_SETTINGS}.A", "8589934592"),
    ({"preprocess": {"env": {"A": 0.25}}}, "Deployment/preprocess", f"{_SETTINGS}.A", "0.25"),
    ({"gateway": {"replicas": 0}}, _GATEWAY, "spec.replicas", 0),
    ({"preprocess": {"replicas": 0}}, "Deployment/preprocess", "spec.replicas", 0),
    ({"inference": {"pools": {"default": {"replicas": 0}}}}, _POOL, "spec.replicas", 0),
    (
        {"gateway": {"shutdown": {"preStopSeconds": 0}}},
        _GATEWAY, "spec.template.spec.containers.0.lifecycle", None,
    ),
    (
        {
            "defaults": {"autoscaling": {"behavior": {"scaleUp": {"stabilizationWindowSeconds": 9}}}},
            "gateway": {"autoscaling": {
                "type": "hpa", "behavior": {"scaleUp": {"stabilizationWindowSeconds": 0}},
            }},
        },
        "HorizontalPodAutoscaler/gateway", "spec.behavior.scaleUp.stabilizationWindowSeconds", 0,
    ),
    ({"gateway": {"maxUnavailable": 0}}, "PodDisruptionBudget/gateway", "spec.maxUnavailable", 0),
    (
        {"otel": {"endpoint": "http://collector:4317", "sampleRatio": 0}},
        _GATEWAY, f"{_SETTINGS}.TRIREME_OTEL_SAMPLE_RATIO", "0",
    ),
    ({"networkPolicy": {"enabled": False}}, "NetworkPolicy/gateway", "", None),
    ({"smoke": {"enabled": False}}, "Pod/smoke", "", None),
)  # fmt: skip


def _each(render: Renderer, several: Iterable[dict[str, Any]]) -> Iterator[dict[str, str]]:
    """The renders of several values, in their order; two at a time, because they work outside of Python."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(render, several)


def point_10_identical_renders(render: Renderer) -> Iterator[str]:
    """Two renders are the same, byte by byte: nothing is drawn at random, nothing has no order."""
    first, second = (render(BASE) for _ in range(2))
    yield from (
        f"{path} differs from one render to the next" for path in first if first[path] != second.get(path)
    )


def point_11_only_the_concerned_roll(render: Renderer, changes: Changes = ROLLS) -> Iterator[str]:
    """A change rolls the workloads that it concerns, and no others."""
    before = _templates(render(BASE))
    renders = _each(render, [merged(BASE, change) for change, _ in changes])
    for (change, expected), rendered in zip(changes, renders, strict=True):
        after = _templates(rendered)
        rolled = {name for name in set(before) & set(after) if before[name] != after[name]}
        concerned = {name for name in before if any(fnmatch(name, one) for one in expected)}
        if rolled != concerned:
            yield f"{json.dumps(change)} rolls {sorted(rolled)}; it concerns {sorted(concerned)}"


def _templates(rendered: dict[str, str]) -> dict[str, str]:
    # Many renders, and only some files hold workloads: the others need not be parsed.
    workloads = {path: text for path, text in rendered.items() if "\nkind: Deployment\n" in text}
    return {
        document["metadata"]["name"].removeprefix("trireme-"): json.dumps(
            document["spec"]["template"], sort_keys=True
        )
        for document in of_kind(helm.documents(workloads), "Deployment")
    }


def point_12_digests_win(render: Renderer) -> Iterator[str]:
    """An image that values name by its digest is the one that runs, from the registry that they name."""
    parts: dict[str, dict[str, Any]] = {
        name: {name: {"image": {"digest": _DIGEST}}} for name in ("gateway", "preprocess", "postprocess")
    }
    # For all pools, also those of a preset on GPUs: `inference.image.digest` is of the image for CPUs.
    parts["inference"] = {"inference": {"poolDefaults": {"image": {"digest": _DIGEST}}}}
    parts["cache"] = {"cache": {"embedded": {"image": {"digest": _DIGEST}}}}
    for name, rendered in zip(parts, _each(render, parts.values()), strict=True):
        found = [image for where, image in images_of(helm.documents(rendered)) if f"/trireme-{name}" in where]
        wrong = [
            image
            for image in found
            if not (image.startswith(f"{REGISTRY}/") and image.endswith(f"@{_DIGEST}"))
        ]
        if wrong or not found:
            yield f"{name}: with a digest it runs {wrong or 'nothing'}"


def point_14_values_arrive(render: Renderer) -> Iterator[str]:
    """Zero, false, the empty string and large numbers arrive as they were said."""
    renders = _each(render, [values for values, *_ in ARRIVALS])
    for (values, where, path, expected), rendered in zip(ARRIVALS, renders, strict=True):
        found = _look(helm.documents(rendered), where, path)
        if found != expected or type(found) is not type(expected):
            yield f"{json.dumps(values)}: {where} {path} is {found!r} in place of {expected!r}"


def _look(documents: list[Document], where: str, path: str) -> Any:
    kind, _, name = where.partition("/")
    if f"{kind}/trireme-{name}" not in {title(document) for document in documents}:
        return None
    found: Any = named(documents, kind, f"trireme-{name}")
    for key in path.split(".") if path else ():
        # What is not there is None, and what would stand below it too.
        found = _step(found or {}, key)
    return found


def _step(found: Any, key: str) -> Any:
    if key == "env":
        return env(found)
    return found[int(key)] if isinstance(found, list) else found.get(key)


def point_16_nothing_is_skipped(render: Renderer) -> Iterator[str]:
    """Where a cluster lacks an API, the chart says so; it leaves out nothing that values ask for."""
    wanted = _custom(render(BASE))
    try:
        found = _custom(render(BASE, api_versions=()))
    except helm.HelmError:
        return
    for key in sorted(wanted - found):
        yield f"{key} is left out in silence where the cluster lacks its API; fail with a message"


def _custom(rendered: dict[str, str]) -> set[str]:
    return {title(one) for one in helm.documents(rendered) if one["apiVersion"].startswith(_CUSTOM)}


def merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Values over values, level by level."""

    def fold(out: dict[str, Any], key: str) -> dict[str, Any]:
        both = isinstance(out.get(key), dict) and isinstance(second[key], dict)
        return {**out, key: merged(out[key], second[key]) if both else second[key]}

    return reduce(fold, second, first)


RENDER_CHECKS: tuple[Callable[[Renderer], Iterator[str]], ...] = (
    point_10_identical_renders,
    point_11_only_the_concerned_roll,
    point_12_digests_win,
    point_14_values_arrive,
    point_16_nothing_is_skipped,
)
