"""Model repositories as a benchmark serves them: copies, mostly without the result cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml


def make_repository(model: Path, target: Path, instances: int | None = None, *, cached: bool = False) -> Path:
    """Copies `model` into the repository `target`, with so many instances, or as many as it says.

    Raises FileNotFoundError where the model has no version to serve.
    """
    if not (model / "1" / "model.onnx").is_file():
        raise FileNotFoundError(f"{model / '1' / 'model.onnx'} is not there")
    copy = target / model.name
    shutil.copytree(model, copy, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    spec = yaml.safe_load((copy / "model.yaml").read_text("utf-8"))
    spec["cache"] = {"enabled": cached}
    if instances is not None:
        spec["instances"] = {**spec.get("instances", {}), "count": instances}
    (copy / "model.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True, sort_keys=False), "utf-8")
    return target
