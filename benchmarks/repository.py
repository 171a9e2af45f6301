"""Model repositories of one model, as a benchmark serves it: without the result cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml


def make_repository(model: Path, target: Path, instances: int) -> Path:
    """Copies `model` into the new repository `target`, cache off, with so many instances.

    Raises FileNotFoundError where the model has no version to serve.
    """
    if not (model / "1" / "model.onnx").is_file():
        raise FileNotFoundError(f"{model / '1' / 'model.onnx'} is not there")
    copy = target / model.name
    shutil.copytree(model, copy, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    spec = yaml.safe_load((copy / "model.yaml").read_text("utf-8"))
    spec["cache"] = {"enabled": False}
    spec["instances"] = {**spec.get("instances", {}), "count": instances}
    (copy / "model.yaml").write_text(yaml.safe_dump(spec, allow_unicode=True, sort_keys=False), "utf-8")
    return target
