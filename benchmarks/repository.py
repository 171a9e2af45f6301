"""Model repositories as a benchmark serves them: copies, mostly without the result cache."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def make_repository(model: Path, target: Path, instances: int | None = None, *, cached: bool = False) -> Path:
    """Copies `model` into the repository `target`, with so many instances, or as many as it says.

    Raises FileNotFoundError where the model has no version to serve.
    """
    _copy(model, target / model.name, {} if instances is None else {"count": instances}, cached)
    return target


def make_crowd(model: Path, target: Path, models: int) -> Path:
    """`model` under its own name and `models` - 1 others, each a thread of the service: as many processes
    would leave the machine no memory.

    Raises FileNotFoundError where the model has no version to serve.
    """
    for number in range(models):
        name = f"{model.name}-{number}" if number else model.name
        _copy(model, target / name, {"count": 1, "isolation": "thread"}, cached=False)
    return target


def _copy(model: Path, copy: Path, instances: Mapping[str, Any], cached: bool) -> None:
    if not (model / "1" / "model.onnx").is_file():
        raise FileNotFoundError(f"{model / '1' / 'model.onnx'} is not there")
    shutil.copytree(model, copy, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    spec = yaml.safe_load((copy / "model.yaml").read_text("utf-8"))
    spec["cache"] = {"enabled": cached}
    spec["name"] = copy.name
    if instances:
        spec["instances"] = {**spec.get("instances", {}), **instances}
    (copy / "model.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True, sort_keys=False), "utf-8")
