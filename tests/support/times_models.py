"""Model `times`: version v multiplies by a factor, so that every answer shows which version gave it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from tests.support.onnx_models import golden_of, scale, write_version

SPEC = """\
task: tabular
inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 4]}]
"""


def write_times(
    models: Path, version: int, model: bytes | None = None, *, name: str = "times", more: str = ""
) -> None:
    """Version v multiplies by v; `more` is added to the model.yaml, which comes with the first version."""
    models.mkdir(exist_ok=True)
    content = scale(version) if model is None else model
    spec = None if (models / name / "model.yaml").exists() else SPEC + more
    write_version(models, name, version, content, spec=spec)


def golden_times(factor: float, *, error: float = 0.0) -> dict[str, object]:
    """golden.json of a version that multiplies by `factor`; with `error`, of one that does not."""
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    return golden_of({"x": x}, {"y": (x * factor + error).astype(np.float32)})


class Shelf:
    """Versions that come and go by rename, as whoever manages a repository should do it."""

    def __init__(self, models: Path, name: str = "times") -> None:
        self._home = models / name
        self._aside = models / f".aside-{name}"
        self._aside.mkdir(parents=True, exist_ok=True)

    def take_away(self, version: int) -> None:
        (self._home / str(version)).rename(self._aside / str(version))

    def put_back(self, version: int) -> None:
        (self._aside / str(version)).rename(self._home / str(version))

    def replace(self, version: int, factor: float) -> None:
        """Another content under the same number."""
        fresh = self._aside / f"fresh-{version}"
        fresh.mkdir()
        (fresh / "model.onnx").write_bytes(scale(factor))
        old = self._aside / f"old-{version}"
        (self._home / str(version)).rename(old)
        fresh.rename(self._home / str(version))
        shutil.rmtree(old)
