"""Ways into rendered objects that several checks need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.charts.helm import Document

COMPONENT = "app.kubernetes.io/component"
STAGES = ("preprocess", "inference", "postprocess")
SERVICES = ("gateway", *STAGES)
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
_UNITS = {
    "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


@dataclass(frozen=True)
class Pod:
    """A pod that an object leads to. `owner` is the object; a bare pod is its own."""

    owner: Document
    labels: dict[str, str]
    spec: dict[str, Any]

    @property
    def title(self) -> str:
        return title(self.owner)

    @property
    def component(self) -> str:
        return self.labels.get(COMPONENT, "")

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Init containers and containers."""
        return containers(self.spec)

    @property
    def main(self) -> dict[str, Any]:
        """The container that the pod is for."""
        first: dict[str, Any] = self.spec["containers"][0]
        return first


def title(document: Document) -> str:
    """Kind and name."""
    return f"{document['kind']}/{document['metadata']['name']}"


def component(document: Document) -> str:
    """What the object belongs to, by its label."""
    return str(document["metadata"].get("labels", {}).get(COMPONENT, ""))


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """Those of one or several kinds."""
    return [document for document in documents if document["kind"] in kinds]


def named(documents: list[Document], kind: str, name: str) -> Document:
    """The one of a kind and a name."""
    (found,) = [document for document in of_kind(documents, kind) if document["metadata"]["name"] == name]
    return found


def pod_of(document: Document) -> Pod | None:
    """The pod that an object leads to, if it leads to any."""
    if document["kind"] == "Pod":
        return Pod(document, document["metadata"].get("labels", {}), document["spec"])
    spec = document.get("spec", {})
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    elif document["kind"] not in WORKLOADS:
        return None
    return Pod(document, spec["template"]["metadata"].get("labels", {}), spec["template"]["spec"])


def all_pods(documents: list[Document]) -> list[Pod]:
    """Every pod that the objects lead to: of workloads, hooks and tests."""
    return [pod for document in documents if (pod := pod_of(document))]


def services(documents: list[Document]) -> list[Pod]:
    """The pods of the platform's own four services."""
    return [pod for pod in all_pods(documents) if pod.component in SERVICES and pod.owner["kind"] != "Pod"]


def pods(documents: list[Document]) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """Title, labels and spec of every pod that the objects lead to."""
    yield from ((pod.title, pod.labels, pod.spec) for pod in all_pods(documents))


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Init containers and containers of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def env(container: dict[str, Any]) -> dict[str, Any]:
    """Values of a container's environment; for a source, the source."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}


def mounts(container: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Mounts of a container, by path."""
    return {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}


def volumes(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Volumes of a pod, by name."""
    return {volume["name"]: volume for volume in spec.get("volumes", [])}


def gpus(spec: dict[str, Any]) -> bool:
    """Whether a pod asks for a device, of a plugin or by a claim."""
    return any(
        any("/" in key for key in container.get("resources", {}).get("limits", {}))
        or container.get("resources", {}).get("claims")
        for container in containers(spec)
    )


def quantity(text: str | int | float) -> float:
    """A Kubernetes quantity as a number. Raises ValueError for what is none."""
    match = re.fullmatch(r"([0-9.]+)(m|[KMGT]i|[kMGT]|)", str(text))
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    return float(match[1]) * _UNITS[match[2]]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector picks these labels; an empty one picks all."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    return all(_matches(one, labels) for one in selector.get("matchExpressions", []))


def _matches(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    return {
        "In": value is not None and value in values,
        "NotIn": value is None or value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }[expression["operator"]]


def window(probe: dict[str, Any]) -> float:
    """Seconds that a probe gives before it gives up."""
    return float(
        probe.get("initialDelaySeconds", 0)
        + probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
    )
