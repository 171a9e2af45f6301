"""A model's folder: the scripts' side of the model repository."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from trireme_common.steps import Assets, Chain
from trireme_lab.export import session
from trireme_postprocess.steps import build_chain
from trireme_preprocess.steps import VOCABULARY

VALUE_KINDS = {
    "text-classification": "text",
    "text-embedding": "text",
    "image-classification": "bytes",
    "tabular": "numbers",
}


class ModelFolder:
    """models/<name> and one version in it, run as the services run it: preprocess, onnxruntime,
    postprocess, from what its model.yaml says."""

    def __init__(self, directory: Path, version: int = 1) -> None:
        self.directory = directory
        self.version = directory / str(version)
        self.spec: dict[str, Any] = yaml.safe_load((directory / "model.yaml").read_text("utf-8"))

    @property
    def assets(self) -> Assets:
        return Assets(self.version)

    @property
    def model(self) -> Path:
        return self.version / "model.onnx"

    def quality(self) -> dict[str, Any]:
        """Content of quality.json."""
        document: dict[str, Any] = json.loads((self.version / "quality.json").read_text("utf-8"))
        return document

    def preprocess(self) -> Chain:
        """The chain that the preprocess service builds."""
        kind = VALUE_KINDS[self.spec["task"]]
        return VOCABULARY.build(step_specs(self.spec.get("preprocess", [])), self.assets, kind)

    def postprocess(self) -> Chain:
        """The chain that the postprocess service builds."""
        return build_chain(self.spec["task"], step_specs(self.spec.get("postprocess", [])), self.assets)

    def outputs(self, items: Iterable[Any]) -> list[np.ndarray]:
        """Raw first output (float64, no batch dimension) of every item, one by one."""
        chain, runtime = self.preprocess(), session(self.model)
        name = self.spec["outputs"][0]["name"]
        return [
            np.asarray(
                runtime.run([name], {key: value[np.newaxis] for key, value in chain(item).items()})[0]
            )[0].astype(np.float64)
            for item in items
        ]

    def answers(self, items: Iterable[Any]) -> list[Any]:
        """What postprocess makes of each item: a Classification or a vector."""
        chain = self.postprocess()
        return [chain(output) for output in self.outputs(items)]


def step_specs(steps: Sequence[str | Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Steps as model.yaml writes them (a name, or a map of one name to parameters), as pairs."""
    pairs: list[tuple[str, Mapping[str, Any]]] = []
    for step in steps:
        if isinstance(step, str):
            pairs.append((step, {}))
        else:
            ((name, parameters),) = step.items()
            pairs.append((name, parameters or {}))
    return pairs


def prepare_output(source: Path, output: Path) -> Path:
    """Makes `output`/1 and copies model.yaml there where the output is another folder."""
    (output / "1").mkdir(parents=True, exist_ok=True)
    if source.resolve() != output.resolve():
        (output / "model.yaml").write_bytes((source / "model.yaml").read_bytes())
    return output / "1"


def write_quality(path: Path, quality: Mapping[str, Any]) -> None:
    """quality.json, readable."""
    path.write_text(json.dumps(quality, ensure_ascii=False, indent=2) + "\n", "utf-8")


def set_values(directory: Path, values: Mapping[str, Any]) -> None:
    """Replaces the values of lines `key: ...` of model.yaml, keeping its comments."""
    path = directory / "model.yaml"
    text = path.read_text("utf-8")
    for key, value in values.items():
        pattern = re.compile(rf"^(\s*{re.escape(key)}: ).*$", re.MULTILINE)
        text, count = pattern.subn(partial(_with_value, json.dumps(value)), text)
        if count != 1:
            raise ValueError(f"{path} has {count} lines for {key!r}, expected 1")
    path.write_text(text, "utf-8")


def _with_value(value: str, line: re.Match[str]) -> str:
    return line[1] + value


def set_digests(directory: Path) -> None:
    """Writes the sha256 of the files that model.yaml lists under `digests`."""
    files = yaml.safe_load((directory / "model.yaml").read_text("utf-8"))["digests"]
    set_values(directory, {file: sha256(directory / file) for file in files})


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
