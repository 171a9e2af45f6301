"""Where images come from, and which."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.charts.helm import REGISTRY, Document
from tests.charts.objects import all_pods

_NAME = re.compile(r"[a-z0-9]+([._/-][a-z0-9]+)*(:[\w][\w.-]{0,127}|@sha256:[0-9a-f]{64})")


def of(documents: list[Document]) -> Iterator[tuple[str, str]]:
    """Where it stands, and the image: of every container, and of volumes."""
    for pod in all_pods(documents):
        for container in pod.containers:
            yield f"{pod.title}: {container['name']}", container["image"]
        for volume in pod.spec.get("volumes", []):
            if "image" in volume:
                yield f"{pod.title}: volume {volume['name']}", volume["image"]["reference"]


def point_12_images(documents: list[Document]) -> Iterator[str]:
    """Every image comes from `global.imageRegistry`, at a version that does not move by itself."""
    for where, image in of(documents):
        name = image.removeprefix(f"{REGISTRY}/")
        if name == image:
            yield f"{where}: image {image} does not come from global.imageRegistry"
        elif not _NAME.fullmatch(name):
            yield f"{where}: image {image} has neither tag nor digest"
        elif name.endswith(":latest"):
            yield f"{where}: image {image}: nobody can say what runs; name a version"
