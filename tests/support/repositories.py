"""Model repositories on disk for tests that load nothing real."""

from __future__ import annotations

import os
from pathlib import Path

SPEC = "name: {name}\n"


def write_model(root: Path, name: str, *versions: int, spec: str | None = None, weights: str = "w") -> Path:
    """`<root>/<name>` with a model.yaml and a model.onnx in each version. Returns the folder."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.yaml").write_text(spec if spec is not None else SPEC.format(name=name))
    for version in versions:
        (folder / str(version)).mkdir(exist_ok=True)
        (folder / str(version) / "model.onnx").write_text(weights)
    return folder


def change(path: Path, text: str) -> None:
    """Writes `text` and makes sure that the file's time differs, however coarse the clock is."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))
