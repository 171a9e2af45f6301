"""Scalers: one a workload, on signals that mean something, and no slower or faster than said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.charts.helm import Document
from tests.charts.objects import component, env, of_kind, services, title
from tests.charts.promql import BadQuery, is_one_series, metrics, parse

# A duty cycle is pegged near its top by any batching, and says nothing of what waits.
_UTILISATION = ("dcgm_fi_dev_gpu_util", "gpu_utilization", "duty_cycle", "gpu_util", "sm_active")
_LEAST_SCALE_DOWN_SECONDS = 300
# Series that the gateway has; those of pods that are gone have gone with them.
_GATEWAY_METRICS = ("model_", "trireme_gateway_", "trireme_stage_duration_", "trireme_held_")


def target(scaler: Document) -> str:
    """Kind and name of what a scaler scales."""
    reference = scaler["spec"]["scaleTargetRef"]
    return f"{reference.get('kind', 'Deployment')}/{reference['name']}"


def bounds(scaler: Document) -> tuple[int, int]:
    """Least and most replicas of a scaler."""
    spec = scaler["spec"]
    if scaler["kind"] == "ScaledObject":
        return spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", 100)
    return spec.get("minReplicas", 1), spec["maxReplicas"]


def point_2_one_scaler(documents: list[Document]) -> Iterator[str]:
    """An autoscaled workload has no replicas and one scaler, with bounds that make sense and a target."""
    workloads = {title(document): document for document in of_kind(documents, "Deployment", "StatefulSet")}
    scalers = of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject")
    scaled = Counter(target(scaler) for scaler in scalers)
    for scaler in scalers:
        least, most = bounds(scaler)
        if target(scaler) not in workloads:
            yield f"{title(scaler)}: spec.scaleTargetRef {target(scaler)} is not there"
        if least > most:
            yield f"{title(scaler)}: min {least} > max {most}"
        idle = scaler["spec"].get("idleReplicaCount")
        if idle is not None and idle >= least:
            yield f"{title(scaler)}: spec.idleReplicaCount {idle} is not below minReplicaCount {least}"
    for name, count in scaled.items():
        if count > 1:
            yield f"{name}: {count} scalers pull at it; keep one"
    for name, workload in workloads.items():
        if name in scaled and "replicas" in workload["spec"]:
            yield f"{name}: spec.replicas beside a scaler conflicts at every upgrade; leave it out"
        if name not in scaled and "replicas" not in workload["spec"]:
            yield f"{name}: spec.replicas is missing and nothing scales it"


def point_13_keda(documents: list[Document]) -> Iterator[str]:
    """KEDA's queries give one series, its metadata are strings, and an empty answer is an error."""
    for scaler in of_kind(documents, "ScaledObject"):
        for number, trigger in enumerate(scaler["spec"]["triggers"]):
            where = f"{title(scaler)}: spec.triggers[{number}]"
            for key, value in trigger["metadata"].items():
                if not isinstance(value, str):
                    yield f"{where}.metadata.{key} is {value!r}; quote it"
            if trigger["type"] == "prometheus":
                yield from (f"{where}.metadata{found}" for found in _query(trigger["metadata"]))
            for key in ("threshold", "targetValue"):
                value = str(trigger["metadata"].get(key, "1"))
                if not re.fullmatch(r"\d+(\.\d+)?", value) or float(value) <= 0:
                    yield f"{where}.metadata.{key} is {value!r}; say a number above 0"
        yield from _fallback(scaler)


def _query(metadata: dict[str, Any]) -> Iterator[str]:
    query = str(metadata.get("query", ""))
    try:
        if not is_one_series(query):
            yield f".query gives a series for each pod, which is an error: {query!r}; sum() it"
        if any(node.kind == "call" and node.name in ("vector", "absent") for node in parse(query).walk()):
            yield f".query turns what is missing into a number: {query!r}; leave it empty, for the fallback"
    except BadQuery as bad:
        yield f".query: {bad}"
    if metadata.get("ignoreNullValues") != "false":
        yield '.ignoreNullValues is not "false": an empty answer would count as 0'


def _fallback(scaler: Document) -> Iterator[str]:
    where, spec = title(scaler), scaler["spec"]
    if not any(trigger["type"] not in ("cpu", "memory", "cron") for trigger in spec["triggers"]):
        return
    fallback = spec.get("fallback")
    if fallback is None:
        yield f"{where}: spec.fallback is missing: without it a Prometheus that is away stops all scaling"
    elif not max(1, bounds(scaler)[0]) <= fallback["replicas"] <= bounds(scaler)[1]:
        yield f"{where}: spec.fallback.replicas {fallback['replicas']} is outside of {bounds(scaler)}"


def point_16_inference_signal(documents: list[Document]) -> Iterator[str]:
    """Inference scales on what waits, never on how busy a processor is."""
    inference = {pod.title for pod in services(documents) if pod.component == "inference"}
    for scaler in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject"):
        if target(scaler) in inference:
            for signal in _signals(scaler):
                if signal in ("cpu", "memory") or any(word in signal.lower() for word in _UTILISATION):
                    yield f"{title(scaler)}: {signal} says nothing of what waits; scale on the queue"


def _signals(scaler: Document) -> Iterator[str]:
    for trigger in scaler["spec"].get("triggers", []):
        if trigger["type"] == "prometheus":
            yield from sorted(_metrics(trigger))
        else:
            yield trigger["metadata"].get("valueLocation", trigger["type"])
    for metric in scaler["spec"].get("metrics", []):
        source = next(value for key, value in metric.items() if key != "type")
        yield source["metric"]["name"] if "metric" in source else source["name"]


def _metrics(trigger: dict[str, Any]) -> set[str]:
    try:
        return metrics(trigger["metadata"].get("query", ""))
    except BadQuery:
        return set()


def point_16_scale_down_is_slow(documents: list[Document]) -> Iterator[str]:
    """`cooldownPeriod` governs the step to zero alone: N -> 1 is slowed by the behaviour of the HPA."""
    for scaler in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject"):
        spec, path = scaler["spec"], "spec.behavior"
        if scaler["kind"] == "ScaledObject":
            spec, path = (
                spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}),
                "spec.advanced.horizontalPodAutoscalerConfig.behavior",
            )
        seconds = spec.get("behavior", {}).get("scaleDown", {}).get("stabilizationWindowSeconds", 0)
        if seconds < _LEAST_SCALE_DOWN_SECONDS:
            yield (
                f"{title(scaler)}: {path}.scaleDown.stabilizationWindowSeconds is {seconds}; "
                f"say {_LEAST_SCALE_DOWN_SECONDS} or more, or it flaps"
            )


def point_16_zero_needs_a_queue(documents: list[Document]) -> Iterator[str]:
    """What goes to zero needs a gateway that holds requests, and its signals alone to come back."""
    for scaler in of_kind(documents, "ScaledObject"):
        spec = scaler["spec"]
        if bounds(scaler)[0] > 0 and spec.get("idleReplicaCount") != 0:
            continue
        yield from (f"{title(scaler)} goes to zero: {finding}" for finding in _unheld(documents))
        for number, trigger in enumerate(spec["triggers"]):
            if not _asks_gateway(trigger, documents):
                yield (
                    f"{title(scaler)}: spec.triggers[{number}]: at zero the pods' own series are gone; "
                    "ask the gateway, or it never comes back"
                )
        if "cooldownPeriod" not in spec:
            yield f"{title(scaler)}: spec.cooldownPeriod is missing: say after how much quiet it goes to zero"


def _asks_gateway(trigger: dict[str, Any], documents: list[Document]) -> bool:
    if trigger["type"] == "metrics-api":
        host = (
            re.sub(r"^https?://", "", trigger["metadata"].get("url", "")).partition("/")[0].partition(".")[0]
        )
        return any(
            component(service) == "gateway" and service["metadata"]["name"] == host.partition(":")[0]
            for service in of_kind(documents, "Service")
        )
    found = _metrics(trigger)
    return bool(found) and all(name.startswith(_GATEWAY_METRICS) for name in found)


def _unheld(documents: list[Document]) -> Iterator[str]:
    for gateway in (pod for pod in services(documents) if pod.component == "gateway"):
        held = {
            key: value for key, value in env(gateway.main).items() if key.startswith("TRIREME_GATEWAY_HOLD_")
        }
        if len(held) < 2 or not all(float(value) > 0 for value in held.values()):
            yield f"{gateway.title} holds no requests meanwhile: TRIREME_GATEWAY_HOLD_* is {held}"
