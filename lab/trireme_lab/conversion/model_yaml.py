"""The model.yaml of a model that is new to the repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from trireme_lab.conversion.declaration import Declared
from trireme_lab.conversion.source import Serving


def write(
    path: Path, name: str, serving: Serving, inputs: Sequence[Declared], outputs: Sequence[Declared]
) -> None:
    """Writes the spec; `digests` is left open for the pins of the version."""
    spec: dict[str, Any] = {
        "name": name,
        "task": serving.task,
        "backend": "onnxruntime",
        "inputs": [_tensor(each) for each in inputs],
        "outputs": [_tensor(each) for each in outputs],
    }
    if serving.preprocess:
        spec["preprocess"] = serving.preprocess
    if serving.postprocess:
        spec["postprocess"] = serving.postprocess
    text = yaml.dump(spec, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    path.write_text(f"# Written by `trireme export`.\n{text}digests:\n", "utf-8")


class _Dumper(yaml.SafeDumper):
    """Shapes on one line, no anchors: the platform reads neither anchors nor aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


class _Shape(list[int]):
    pass


def _represent_shape(dumper: _Dumper, shape: _Shape) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", shape, flow_style=True)


_Dumper.add_representer(_Shape, _represent_shape)


def _tensor(declared: Declared) -> dict[str, Any]:
    return {"name": declared.name, "datatype": declared.datatype, "shape": _Shape(declared.shape)}
