"""Ways into rendered objects that several checks need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.charts.helm import Document

_UNITS = {
    "m": 1e-3, "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip


def title(document: Document) -> str:
    """Kind and name."""
    return f"{document['kind']}/{document['metadata']['name']}"


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """Those of one or several kinds."""
    return [document for document in documents if document["kind"] in kinds]


def named(documents: list[Document], kind: str, name: str) -> Document:
    """The one of a kind and a name."""
    (found,) = [document for document in of_kind(documents, kind) if document["metadata"]["name"] == name]
    return found


def pods(documents: list[Document]) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """Title, labels and spec of every pod that the objects lead to."""
    for document in documents:
        if document["kind"] == "Pod":
            yield title(document), document["metadata"]["labels"], document["spec"]
        elif "template" in document.get("spec", {}):
            template = document["spec"]["template"]
            yield title(document), template["metadata"]["labels"], template["spec"]


def containers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Containers and init containers of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def env(container: dict[str, Any]) -> dict[str, Any]:
    """Values of a container's environment; for a source, the source."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}


def quantity(text: str | int | float) -> float:
    """A Kubernetes quantity as a number. Raises ValueError for what is none."""
    match = re.fullmatch(r"([0-9.]+)(m|[KMGT]i|[kMGT]|)", str(text))
    if match is None:
        raise ValueError(f"{text!r} is no quantity")
    return float(match[1]) * _UNITS[match[2]]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector of matchLabels picks these labels; an empty one picks all."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
