"""Mistakes in rendered objects, by the check that has to find each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.charts import helm
from tests.charts.objects import named, of_kind

Documents = list[helm.Document]
# Makes it, in place.
Mistake = Callable[[Documents], Any]


def _spec(kind: str, name: str) -> Callable[[Documents], Any]:
    return lambda documents: named(documents, kind, f"trireme-{name}")["spec"]


def _pod(documents: Documents, name: str = "gateway") -> dict[str, Any]:
    spec: dict[str, Any] = _spec("Deployment", name)(documents)["template"]["spec"]
    return spec


def _container(documents: Documents, name: str = "gateway") -> dict[str, Any]:
    container: dict[str, Any] = _pod(documents, name)["containers"][0]
    return container


def _env(documents: Documents, key: str, name: str = "gateway") -> dict[str, Any]:
    entry: dict[str, Any]
    (entry,) = [one for one in _container(documents, name)["env"] if one["name"] == key]
    return entry


def _remove(documents: Documents, kind: str, name: str) -> helm.Document:
    found = named(documents, kind, f"trireme-{name}")
    documents.remove(found)
    return found


def _policy(documents: Documents, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = _spec("NetworkPolicy", name)(documents)
    return spec


def _triggers(documents: Documents, name: str = "inference-default") -> Any:
    return _spec("ScaledObject", name)(documents)["triggers"]


_ANYONE = {"ports": [{"protocol": "TCP", "port": 50052}]}
MISTAKES: dict[str, tuple[Mistake, ...]] = {
    "point_2_one_scaler": (
        lambda d: _spec("Deployment", "cache")(d).pop("replicas"),
        lambda d: _spec("HorizontalPodAutoscaler", "gateway")(d).update(minReplicas=99),
        lambda d: _spec("ScaledObject", "inference-default")(d)["scaleTargetRef"].update(name="nothing"),
        lambda d: _spec("ScaledObject", "inference-second")(d).update(idleReplicaCount=1),
        lambda d: _remove(d, "HorizontalPodAutoscaler", "gateway"),
    ),
    "point_3_no_duplicates": (
        lambda d: d.append(named(d, "Service", "trireme-preprocess")),
        lambda d: _container(d)["volumeMounts"].append({"name": "other", "mountPath": "/tmp"}),
        lambda d: _pod(d)["volumes"].append({"name": "tmp", "emptyDir": {}}),
        lambda d: _container(d)["ports"].append(dict(_container(d)["ports"][0], name="again")),
        lambda d: _spec("Service", "cache")(d)["ports"].append({"name": "redis", "port": 1}),
    ),
    "point_4_selectors": (
        lambda d: _spec("Deployment", "inference-gpu")(d)["selector"]["matchLabels"].pop("trireme/pool"),
        lambda d: _spec("Deployment", "cache")(d)["selector"]["matchLabels"].update(
            {"app.kubernetes.io/version": "0.1.0"}
        ),
    ),
    "point_4_services_pick_one_workload": (
        lambda d: _spec("Service", "preprocess")(d)["selector"].update(a="b"),
        lambda d: _spec("Service", "preprocess")(d)["ports"][0].update(targetPort="nothing"),
        lambda d: _spec("Service", "inference-gpu")(d)["selector"].pop("trireme/pool"),
    ),
    "point_4_monitors_pick_one_workload": (
        lambda d: of_kind(d, "ServiceMonitor")[0]["spec"]["endpoints"][0].update(port="nothing"),
        lambda d: of_kind(d, "ServiceMonitor")[-1]["spec"]["selector"]["matchLabels"].clear(),
    ),
    "point_4_budgets_pick_one_workload": (
        lambda d: _spec("PodDisruptionBudget", "gateway")(d)["selector"]["matchLabels"].clear(),
        lambda d: _spec("PodDisruptionBudget", "preprocess")(d).update(
            selector=_spec("PodDisruptionBudget", "gateway")(d)["selector"]
        ),
    ),
    "point_5_restricted": (
        lambda d: _pod(d).pop("automountServiceAccountToken"),
        lambda d: _pod(d).pop("enableServiceLinks"),
        lambda d: _pod(d).update(hostNetwork=True),
        lambda d: _pod(d)["securityContext"].update(runAsUser=0),
        lambda d: _pod(d)["securityContext"].pop("runAsNonRoot"),
        lambda d: _pod(d)["securityContext"].pop("seccompProfile"),
        lambda d: _pod(d)["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
        lambda d: _container(d)["securityContext"].pop("readOnlyRootFilesystem"),
        lambda d: _container(d, "cache")["securityContext"].update(allowPrivilegeEscalation=True),
        lambda d: _container(d, "cache")["securityContext"]["capabilities"].update(add=["SYS_ADMIN"]),
        lambda d: named(d, "Pod", "trireme-smoke")["spec"]["containers"][0].pop("securityContext"),
        lambda d: _pod(d).update(initContainers=[{"name": "init", "image": "a"}]),
    ),
    "point_5_written_paths_are_mounted": (
        lambda d: _container(d)["volumeMounts"].clear(),
        lambda d: _container(d, "cache").update(workingDir="/data2"),
        lambda d: _env(d, "TRIREME_STATE_DIR", "preprocess").update(value="/state"),
    ),
    "point_6_resources": (
        lambda d: _container(d, "cache")["resources"].pop("limits"),
        lambda d: _container(d)["resources"]["requests"].pop("cpu"),
        lambda d: _container(d)["resources"]["requests"].update(memory="9Gi"),
        lambda d: _container(d, "inference-gpu")["resources"]["limits"].update({"nvidia.com/gpu": "1"}),
        lambda d: _container(d, "inference-gpu")["resources"]["limits"].update({"nvidia.com/gpu": 0.5}),
        lambda d: _container(d, "inference-gpu")["resources"].update(claims=[{"name": "gpu"}]),
        lambda d: named(d, "Pod", "trireme-smoke")["spec"]["containers"][0].pop("resources"),
    ),
    "point_6_gpu_taints_are_tolerated": (
        lambda d: _pod(d, "inference-gpu").pop("tolerations"),
        lambda d: _pod(d, "inference-gpu")["tolerations"][0].update(key="gpu"),
    ),
    "point_7_shutdown": (
        lambda d: _pod(d).update(terminationGracePeriodSeconds=40),
        lambda d: _env(d, "TRIREME_INFERENCE_GRACE_SECONDS", "inference-default").update(value="20"),
        lambda d: _container(d)["env"].remove(_env(d, "TRIREME_GATEWAY_DRAIN_SECONDS")),
        lambda d: _container(d)["lifecycle"]["preStop"].update(sleep={"seconds": 30}),
    ),
    "point_7_startup": (
        lambda d: _container(d, "inference-default")["startupProbe"].update(failureThreshold=10),
        lambda d: _spec("Deployment", "inference-gpu")(d).update(progressDeadlineSeconds=600),
    ),
    "point_8_headless": (
        lambda d: _spec("Service", "inference-gpu")(d).pop("clusterIP"),
        lambda d: _spec("Service", "preprocess")(d).update(publishNotReadyAddresses=True),
        lambda d: _remove(d, "Service", "postprocess"),
    ),
    "point_8_addresses": (
        lambda d: _env(d, "TRIREME_GATEWAY_PREPROCESS_ADDRESSES").update(value="trireme-preprocess:50052"),
        lambda d: _env(d, "TRIREME_GATEWAY_INFERENCE_ADDRESSES").update(value="trireme-inference-gpu:50052"),
    ),
    "point_8_routes_outlast_requests": (
        lambda d: _spec("HTTPRoute", "gateway")(d)["rules"][0].pop("timeouts"),
        lambda d: _spec("HTTPRoute", "gateway")(d)["rules"][0]["timeouts"].update(request="29s"),
    ),
    "point_8_probes": (
        lambda d: _container(d, "preprocess").pop("startupProbe"),
        lambda d: _container(d, "inference-gpu")["livenessProbe"].update(grpc={"port": 50052}),
        lambda d: _container(d, "postprocess")["readinessProbe"]["grpc"].update(port=9090),
        lambda d: _container(d).pop("readinessProbe"),
        lambda d: _container(d, "preprocess")["env"].append({"name": "TRIREME_TLS_CERT_FILE", "value": "/x"}),
    ),
    "point_9_reachability": (
        lambda d: _remove(d, "NetworkPolicy", "cache"),
        lambda d: [_remove(d, "NetworkPolicy", name) for name in ("deny", "preprocess")],
        lambda d: _policy(d, "inference")["ingress"].append(_ANYONE),
        lambda d: _policy(d, "gateway")["egress"].clear(),
        lambda d: _policy(d, "gateway")["ingress"][0].update({"from": [{"namespaceSelector": {}}]}),
        lambda d: _policy(d, "inference")["ingress"].append(
            {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], **_ANYONE}
        ),
        lambda d: [rule.update({"from": [{"podSelector": {}}]}) for rule in _policy(d, "gateway")["ingress"]],
    ),
    "point_9_names_resolve": (
        lambda d: [
            rule["ports"].remove({"protocol": "TCP", "port": 53})
            for rule in _policy(d, "gateway")["egress"]
            if {"protocol": "TCP", "port": 53} in rule["ports"]
        ],
        lambda d: _policy(d, "smoke")["egress"].pop(),
    ),
    "point_9_nothing_calls_out": (
        lambda d: _policy(d, "gateway")["egress"].append({"ports": [{"protocol": "TCP", "port": 443}]}),
        lambda d: _policy(d, "preprocess").update(egress=[{"to": [{"namespaceSelector": {}}]}]),
        lambda d: _container(d)["env"].append(
            {"name": "TRIREME_OTEL_EXPORTER_ENDPOINT", "value": "http://collector.tracing:4317"}
        ),
    ),
    "point_10_no_secrets": (
        lambda d: d.append({"kind": "Secret", "metadata": {"name": "a", "namespace": "models"}}),
        lambda d: _container(d)["env"].append({"name": "REDIS_PASSWORD", "value": "hunter2"}),
        lambda d: _container(d, "cache")["args"].extend(["--requirepass", "hunter2"]),
        lambda d: d.append(
            {"kind": "ConfigMap", "metadata": {"name": "a", "namespace": "models"}, "data": {"token": "abc"}}
        ),
    ),
    "point_12_images": (
        lambda d: _container(d, "cache").update(image="redis:7"),
        lambda d: _container(d, "cache").update(image=f"{helm.REGISTRY}/redis"),
        lambda d: _container(d, "cache").update(image=f"{helm.REGISTRY}/redis:latest"),
        lambda d: _pod(d)["volumes"].append({"name": "m", "image": {"reference": "docker.example/models:1"}}),
    ),
    "point_13_keda": (
        lambda d: _triggers(d)[0]["metadata"].update(threshold=4),
        lambda d: _triggers(d)[0]["metadata"].update(threshold="0"),
        lambda d: _triggers(d)[0]["metadata"].update(query="sum by (pod) (rate(a[1m]))"),
        lambda d: _triggers(d)[0]["metadata"].update(query="sum(a) or vector(0)"),
        lambda d: _triggers(d)[0]["metadata"].update(query="sum(a"),
        lambda d: _triggers(d)[0]["metadata"].pop("ignoreNullValues"),
        lambda d: _spec("ScaledObject", "inference-default")(d).pop("fallback"),
        lambda d: _spec("ScaledObject", "inference-default")(d)["fallback"].update(replicas=0),
    ),
    "point_13_queries_parse": (
        lambda d: of_kind(d, "PrometheusRule")[0]["spec"]["groups"][0]["rules"][0].update(expr="sum(a"),
    ),
    "point_14_names": (
        lambda d: d[0]["metadata"].update(name="a" * 64),
        lambda d: named(d, "Service", "trireme-cache")["metadata"].update(name="1-cache"),
        lambda d: d[0]["metadata"]["labels"].update(version=1.0),
        lambda d: d[0]["metadata"]["labels"].update(version="a b"),
        lambda d: _container(d)["ports"][0].update(name="sixteen-letters-"),
    ),
    "point_15_namespaced": (
        lambda d: d.append({"kind": "ClusterRole", "metadata": {"name": "a", "labels": {}}}),
        lambda d: d[0]["metadata"].pop("namespace"),
    ),
    "point_16_inference_signal": (
        lambda d: _triggers(d)[0].update(type="cpu", metadata={"value": "70"}),
        lambda d: _triggers(d)[0]["metadata"].update(query="avg(DCGM_FI_DEV_GPU_UTIL)"),
    ),
    "point_16_scale_down_is_slow": (
        lambda d: _spec("ScaledObject", "inference-default")(d).pop("advanced"),
        lambda d: _spec("HorizontalPodAutoscaler", "gateway")(d)["behavior"].pop("scaleDown"),
    ),
    "point_16_zero_needs_a_queue": (
        lambda d: _container(d)["env"].remove(_env(d, "TRIREME_GATEWAY_HOLD_MAX_REQUESTS")),
        lambda d: _env(d, "TRIREME_GATEWAY_HOLD_MAX_SECONDS").update(value="0"),
        lambda d: _triggers(d, "inference-second").extend(_triggers(d)),
        lambda d: _spec("ScaledObject", "inference-second")(d).pop("cooldownPeriod"),
        lambda d: _spec("ScaledObject", "inference-default")(d).update(minReplicaCount=0),
    ),
    "point_16_shared_memory": (
        lambda d: _container(d, "inference-default")["volumeMounts"].clear(),
        lambda d: [volume.pop("emptyDir") for volume in _pod(d, "inference-default")["volumes"]],
        lambda d: _container(d, "inference-default")["resources"]["limits"].update(memory="256Mi"),
    ),
    "point_16_liveness_after_startup": (lambda d: _container(d, "cache").pop("startupProbe"),),
    "point_16_budgets_let_drains_through": (
        lambda d: _spec("PodDisruptionBudget", "gateway")(d).update(maxUnavailable=0),
        lambda d: _spec("PodDisruptionBudget", "gateway")(d).pop("unhealthyPodEvictionPolicy"),
        lambda d: _spec("PodDisruptionBudget", "preprocess")(d).update(minAvailable=2),
    ),
    "point_16_no_spare_gpu": (
        lambda d: _spec("Deployment", "inference-gpu")(d)["strategy"]["rollingUpdate"].update(maxSurge=1),
        lambda d: _spec("Deployment", "inference-gpu")(d).pop("strategy"),
    ),
}
