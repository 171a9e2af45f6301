"""Prints the images that the chart `trireme` runs with some values, one a line, for mirroring.

    scripts/chart_images.py --registry registry.example/team -f values.yaml

Renders with the Helm SDK of the test requirements; no cluster is asked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import helm_python
import yaml
from helm_python import _native

CHART = Path(__file__).resolve().parent.parent / "deploy" / "helm" / "trireme"
# What a chart asks of a cluster before it renders; a list of images needs no cluster.
_CLUSTER = {
    "kube_version": "v1.37.0",
    "api_versions": [
        "cert-manager.io/v1",
        "gateway.networking.k8s.io/v1",
        "keda.sh/v1alpha1",
        "monitoring.coreos.com/v1",
        "resource.k8s.io/v1",
    ],
}


def images(part: Any) -> Iterator[str]:
    """The images that stand anywhere in an object: of containers, and of volumes."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ("containers", "initContainers"):
                yield from (container["image"] for container in value)
            elif key == "volumes":
                yield from (volume["image"]["reference"] for volume in value if "image" in volume)
            else:
                yield from images(value)


def overlaid(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm lays several files over each other."""
    out = dict(first)
    for key, value in second.items():
        both = isinstance(out.get(key), dict) and isinstance(value, dict)
        out[key] = overlaid(out[key], value) if both else value
    return out


def rendered(values: dict[str, Any]) -> list[str]:
    """The images of a release with these values, sorted. Raises HelmError where values are refused."""
    with helm_python.Chart.load(CHART) as chart:
        # What the cluster offers is an option of the private call alone.
        answer = _native.call_string("helm_render", chart._raw(), json.dumps(values), json.dumps(_CLUSTER))
    text: dict[str, str] = json.loads(answer)
    documents = [
        document
        for path, one in text.items()
        if path.endswith(".yaml")
        for document in yaml.load_all(one, Loader=yaml.CSafeLoader)
    ]
    return sorted({image for document in documents for image in images(document)})


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--registry", help="global.imageRegistry, where the values do not name it")
    parser.add_argument(
        "-f", "--values", action="append", default=[], type=Path, help="file of values; may be repeated"
    )
    options = parser.parse_args(arguments)
    values: dict[str, Any] = {"global": {"imageRegistry": options.registry}} if options.registry else {}
    for path in options.values:
        values = overlaid(values, yaml.safe_load(path.read_text()) or {})
    try:
        print("\n".join(rendered(values)))
    except helm_python.HelmError as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
