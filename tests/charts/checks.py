"""What must hold in the rendered objects, beyond the schemas: each check returns what is wrong.

The numbers are those of the list in the chart's README.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tests.charts.helm import REGISTRY, Document
from tests.charts.objects import containers, env, of_kind, pods, quantity, selects, title

_CLUSTER_SCOPED = re.compile(
    r"^Cluster|^Namespace$|^PersistentVolume$|^StorageClass$|^CustomResource|^Priority"
)
_VERSION_LABELS = ("app.kubernetes.io/version", "helm.sh/chart")
_WRITTEN = ("/tmp",)


def one_scaler(documents: list[Document]) -> Iterator[str]:
    """2: an autoscaled workload has no replicas and one scaler, whose bounds and target make sense."""
    workloads = {title(document): document for document in of_kind(documents, "Deployment")}
    scaled: list[str] = []
    for scaler in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject"):
        spec = scaler["spec"]
        target = f"Deployment/{spec['scaleTargetRef']['name']}"
        scaled.append(target)
        if target not in workloads:
            yield f"{title(scaler)} scales {target}, which is not there"
        elif "replicas" in workloads[target]["spec"]:
            yield f"{target} has replicas beside a scaler"
        low, high = (spec.get(f"{end}Replicas", spec.get(f"{end}ReplicaCount", 1)) for end in ("min", "max"))
        if low > high:
            yield f"{title(scaler)}: min {low} > max {high}"
    yield from (f"{name} has {count} scalers" for name, count in Counter(scaled).items() if count > 1)
    for name, workload in workloads.items():
        if name not in scaled and "replicas" not in workload["spec"]:
            yield f"{name} has neither replicas nor a scaler"


def no_duplicates(documents: list[Document]) -> Iterator[str]:
    """3: nothing stands twice."""
    keys = [(document["apiVersion"], title(document)) for document in documents]
    yield from (f"{key} stands twice" for key in _twice(keys))
    for name, _, spec in pods(documents):
        yield from (f"{name}: volume {twice} twice" for twice in _twice(v["name"] for v in spec["volumes"]))
        for container in containers(spec):
            lists = {
                "env": [entry["name"] for entry in container.get("env", [])],
                "port": [port["containerPort"] for port in container.get("ports", [])],
                "port name": [port["name"] for port in container.get("ports", [])],
                "mount": [mount["mountPath"] for mount in container["volumeMounts"]],
            }
            for kind, entries in lists.items():
                yield from (f"{name}: {kind} {twice} twice" for twice in _twice(entries))


def _twice(entries: Iterable[Any]) -> list[Any]:
    return [entry for entry, count in Counter(entries).items() if count > 1]


def selectors(documents: list[Document]) -> Iterator[str]:
    """4: a selector holds no version and picks its own pods; each Service and PDB picks one workload."""
    labels = {name: labels for name, labels, _ in pods(documents)}
    for workload in of_kind(documents, "Deployment", "StatefulSet"):
        selector = workload["spec"]["selector"]
        picked = [name for name, found in labels.items() if selects(selector, found)]
        if picked != [title(workload)]:
            yield f"{title(workload)} selects {picked}"
        if set(selector["matchLabels"]) & set(_VERSION_LABELS):
            yield f"{title(workload)} selects by version"
    for document in of_kind(documents, "Service", "PodDisruptionBudget"):
        selector = document["spec"]["selector"]
        selector = selector if "matchLabels" in selector else {"matchLabels": selector}
        picked = [name for name, found in labels.items() if selects(selector, found)]
        if len(picked) != 1:
            yield f"{title(document)} selects {picked}"


def pod_security(documents: list[Document]) -> Iterator[str]:
    """5: Pod Security `restricted`, a read-only root, no token, and what is written is mounted."""
    for name, _, spec in pods(documents):
        context = spec.get("securityContext", {})
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name} mounts a service account token"
        if spec.get("enableServiceLinks") is not False:
            yield f"{name} gets the variables of Services, which look like settings"
        if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) < 1:
            yield f"{name} may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name} has no seccomp profile"
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(key):
                yield f"{name} has {key}"
        yield from (f"{name}: {problem}" for one in containers(spec) for problem in _container_security(one))
        for volume in spec["volumes"]:
            if not set(volume) & {"emptyDir", "configMap", "secret", "projected", "persistentVolumeClaim"}:
                yield f"{name}: volume {volume['name']} is of a kind that restricted refuses"


def _container_security(container: dict[str, Any]) -> Iterator[str]:
    context = container.get("securityContext", {})
    wanted = {"allowPrivilegeEscalation": False, "privileged": False, "readOnlyRootFilesystem": True}
    for key, value in wanted.items():
        if context.get(key) is not value:
            yield f"{key} is not {value}"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "capabilities are not dropped"
    mounted = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    yield from (f"{path} is written and not mounted" for path in _WRITTEN if path not in mounted)


def resources(documents: list[Document]) -> Iterator[str]:
    """6: requests and a memory limit everywhere; GPUs whole and in the limits."""
    for name, _, spec in pods(documents):
        for container in containers(spec):
            requests = container["resources"].get("requests", {})
            limits = container["resources"].get("limits", {})
            if not {"cpu", "memory"} <= set(requests) or "memory" not in limits:
                yield f"{name}: requests {requests}, limits {limits}"
            elif quantity(requests["memory"]) > quantity(limits["memory"]):
                yield f"{name}: asks for more memory than its limit"
            for key, value in limits.items():
                if "/" in key and not isinstance(value, int):
                    yield f"{name}: {key} is {value!r}, no whole number"


def shutdown(documents: list[Document]) -> Iterator[str]:
    """7: the pod's grace covers preStop and what the server was told; inference has time to start."""
    for name, labels, spec in pods(documents):
        container = spec["containers"][0]
        told = {key.rpartition("_")[0].rpartition("_")[2]: value for key, value in env(container).items()
                if key.endswith(("_DRAIN_SECONDS", "_GRACE_SECONDS"))}  # fmt: skip
        if "startupProbe" not in container:
            continue
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        needed = sleep + sum(float(value) for value in told.values()) + 10
        if len(told) != 2 or spec["terminationGracePeriodSeconds"] < needed:
            yield f"{name}: grace {spec['terminationGracePeriodSeconds']} < {needed} ({told})"
        window = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
        if labels["app.kubernetes.io/component"] == "inference" and window < 30 * 60:
            yield f"{name} may start for {window} s only"
    for workload in of_kind(documents, "Deployment"):
        probe = workload["spec"]["template"]["spec"]["containers"][0].get("startupProbe")
        deadline = workload["spec"].get("progressDeadlineSeconds", 600)
        if probe and deadline < probe["periodSeconds"] * probe["failureThreshold"]:
            yield f"{title(workload)}: progressDeadline {deadline} ends before the start-up window"


def grpc_services(documents: list[Document]) -> Iterator[str]:
    """8: stages are found through headless Services and probed by gRPC."""
    stages = ("preprocess", "inference", "postprocess")
    for document in of_kind(documents, "Service"):
        if document["metadata"]["labels"]["app.kubernetes.io/component"] not in stages:
            continue
        if document["spec"].get("clusterIP") != "None":
            yield f"{title(document)} is not headless"
        if document["spec"].get("publishNotReadyAddresses"):
            yield f"{title(document)} publishes what is not ready"
    for name, labels, spec in pods(documents):
        if labels["app.kubernetes.io/component"] in stages:
            for probe in ("startup", "readiness", "liveness"):
                if spec["containers"][0].get(f"{probe}Probe", {}).get("grpc", {}).get("service") != probe:
                    yield f"{name}: {probe} is not asked of grpc.health.v1"


def images(documents: list[Document]) -> Iterator[str]:
    """12: every image comes from the registry that the values name, at a version."""
    for name, _, spec in pods(documents):
        for container in containers(spec):
            image = container["image"]
            version = image.removeprefix(f"{REGISTRY}/")
            if version == image or not re.fullmatch(r"[a-z-]+(:[\w.-]+|@sha256:[0-9a-f]{64})", version):
                yield f"{name}: image {image}"
            if version.endswith(":latest"):
                yield f"{name}: {image} is latest"


def text(rendered: dict[str, str]) -> Iterator[str]:
    """14: nothing that a template prints by mistake."""
    mistakes = re.compile(r"<no value>|%!\w?\(|map\[|\b\d+(\.\d+)?e[+-]\d+\b")
    for path, content in rendered.items():
        yield from (f"{path}: {found[0]}" for found in mistakes.finditer(content))


def names(documents: list[Document]) -> Iterator[str]:
    """14, 15: names are short enough; everything stands in the release's namespace."""
    for document in documents:
        if len(document["metadata"]["name"]) > 63:
            yield f"{title(document)} is too long"
        selector = document.get("spec", {}).get("selector", {}).get("matchLabels", {})
        labels = {**document["metadata"]["labels"], **selector}
        for key, value in labels.items():
            if not isinstance(value, str) or len(value) > 63:
                yield f"{title(document)}: label {key} is {value!r}"
        if _CLUSTER_SCOPED.match(document["kind"]):
            yield f"{title(document)} is of the whole cluster"
        if not document["metadata"].get("namespace"):
            yield f"{title(document)} names no namespace"


ALL = (one_scaler, no_duplicates, selectors, pod_security, resources, shutdown, grpc_services, images, names)


def problems(documents: list[Document]) -> list[str]:
    """What all checks find wrong."""
    return [f"{check.__name__}: {problem}" for check in ALL for problem in check(documents)]
