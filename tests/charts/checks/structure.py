"""Names, labels, selectors, and nothing twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tests.charts.helm import Document
from tests.charts.objects import all_pods, of_kind, selects, title

CLUSTER_SCOPED = re.compile(
    r"Cluster.*|Namespace|Node|NodePool|NodeClass|EC2NodeClass|AKSNodeClass|ComputeClass|PersistentVolume|StorageClass"
    r"|CustomResource.*|PriorityClass|PriorityLevel.*|FlowSchema|IngressClass|GatewayClass|RuntimeClass"
    r"|DeviceClass"
    r"|APIService|(Validating|Mutating).*|CSI.*|VolumeAttachment"
)
_VERSION_LABELS = {"app.kubernetes.io/version", "helm.sh/chart", "app.kubernetes.io/managed-by"}
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def point_3_no_duplicates(documents: list[Document]) -> Iterator[str]:
    """Nothing stands twice: no object, and no entry of a list that Kubernetes keys by name."""
    objects = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in documents]
    yield from (f"{'/'.join(map(str, key))} stands twice" for key in _twice(objects))
    for pod in all_pods(documents):
        entries: dict[str, list[Any]] = {
            "volumes": [volume["name"] for volume in pod.spec.get("volumes", [])],
            "containers": [container["name"] for container in pod.containers],
            "imagePullSecrets": [secret["name"] for secret in pod.spec.get("imagePullSecrets", [])],
        }
        for container in pod.containers:
            ports = container.get("ports", [])
            entries |= {
                f"{container['name']}.env": [entry["name"] for entry in container.get("env", [])],
                f"{container['name']}.ports": [
                    (port["containerPort"], port.get("protocol")) for port in ports
                ],
                f"{container['name']}.ports.name": [port.get("name") for port in ports],
                f"{container['name']}.volumeMounts": [
                    one["mountPath"] for one in container.get("volumeMounts", [])
                ],
            }
        for path, found in entries.items():
            yield from (f"{pod.title}: {path}: {one} stands twice" for one in _twice(found))
    for service in of_kind(documents, "Service"):
        ports = service["spec"]["ports"]
        numbers = [(port["port"], port.get("protocol", "TCP")) for port in ports]
        for one in _twice([*numbers, *(port.get("name") for port in ports)]):
            yield f"{title(service)}: spec.ports: {one} stands twice"


def _twice(entries: Iterable[Any]) -> list[Any]:
    return [entry for entry, count in Counter(entries).items() if count > 1]


def point_4_selectors(documents: list[Document]) -> Iterator[str]:
    """A workload selects its own pods alone, by labels that no version changes."""
    pods = all_pods(documents)
    for workload in of_kind(documents, "Deployment", "StatefulSet", "DaemonSet"):
        selector = workload["spec"]["selector"]
        picked = [pod.title for pod in pods if selects(selector, pod.labels)]
        if picked != [title(workload)]:
            yield f"{title(workload)}: spec.selector picks the pods of {picked}"
        if versions := set(selector["matchLabels"]) & _VERSION_LABELS:
            yield f"{title(workload)}: spec.selector is immutable and holds {sorted(versions)}"


def point_4_services_pick_one_workload(documents: list[Document]) -> Iterator[str]:
    """A Service picks the pods of one workload and leads to ports that they have."""
    pods = [pod for pod in all_pods(documents) if pod.owner["kind"] != "Pod"]
    for service in of_kind(documents, "Service"):
        selector = service["spec"].get("selector", {})
        picked = [pod for pod in pods if selects({"matchLabels": selector}, pod.labels)]
        if len(picked) != 1 or not selector:
            yield f"{title(service)}: spec.selector picks the pods of {[pod.title for pod in picked]}"
            continue
        ports = [port for container in picked[0].containers for port in container.get("ports", [])]
        known = {port["containerPort"] for port in ports} | {port.get("name") for port in ports}
        for port in service["spec"]["ports"]:
            if (wanted := port.get("targetPort", port["port"])) not in known:
                yield f"{title(service)}: targetPort {wanted} is no port of {picked[0].title}"
        if versions := set(selector) & _VERSION_LABELS:
            yield f"{title(service)}: spec.selector holds {sorted(versions)}; old pods have others"


def point_14_names(documents: list[Document]) -> Iterator[str]:
    """Names and label values that Kubernetes takes, with any release name."""
    for document in documents:
        metadata = document["metadata"]
        if len(metadata["name"]) > 63:
            yield f"{title(document)}: metadata.name has {len(metadata['name'])} characters; 63 are allowed"
        if document["kind"] == "Service" and not re.fullmatch(
            r"[a-z]([-a-z0-9]*[a-z0-9])?", metadata["name"]
        ):
            yield f"{title(document)}: the name of a Service begins with a letter"
        yield from _labels(title(document), metadata.get("labels", {}))
    for pod in all_pods(documents):
        yield from _labels(f"{pod.title}: template", pod.labels)
        names = [("container", one["name"]) for one in pod.containers]
        names += [("volume", volume["name"]) for volume in pod.spec.get("volumes", [])]
        names += [
            ("port", port["name"])
            for one in pod.containers
            for port in one.get("ports", [])
            if "name" in port
        ]
        for kind, name in names:
            if len(name) > (15 if kind == "port" else 63) or not _DNS_LABEL.fullmatch(name):
                yield f"{pod.title}: {kind} {name!r} is no name"


def _labels(where: str, labels: dict[str, Any]) -> Iterator[str]:
    for key, value in labels.items():
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            yield f"{where}: label {key} is {value!r}"


def point_15_namespaced(documents: list[Document]) -> Iterator[str]:
    """Everything stands in the release's namespace."""
    for document in documents:
        if CLUSTER_SCOPED.fullmatch(document["kind"]):
            yield f"{title(document)} is of the whole cluster; it belongs to trireme-nodepools, or nowhere"
        elif not document["metadata"].get("namespace"):
            yield f"{title(document)}: metadata.namespace is missing"


MISTAKES = re.compile(r"<no value>|%!\w?\(|\bmap\[|\b\d+(\.\d+)?e[+-]\d+\b|\bnil\b|<nil>")


def point_14_text(rendered: dict[str, str]) -> Iterator[str]:
    """Nothing that a template prints by mistake, in objects and notes."""
    for path, content in rendered.items():
        for found in MISTAKES.finditer(content):
            line = content.count("\n", 0, found.start()) + 1
            yield f"{path}: line {line}: {found[0]}; pipe numbers through int64, give what may miss a default"
