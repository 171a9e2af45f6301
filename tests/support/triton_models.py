"""Repositories as Triton has them: a config.pbtxt, numbered versions, label files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SCALE_CONFIG = """\
platform: "onnxruntime_onnx"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "labels.txt" } ]
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 500 }
"""


def write_triton_model(
    root: Path,
    name: str,
    config: str | None,
    versions: Mapping[int, bytes],
    *,
    model_file: str = "model.onnx",
    **files: str,
) -> Path:
    """`<root>/<name>` with its config.pbtxt (none for None), `model_file` in each version, and text files
    beside them, whose names are given with `_` for the dot. Returns the folder."""
    folder = root / name
    folder.mkdir(parents=True)
    if config is not None:
        (folder / "config.pbtxt").write_text(config)
    for file, text in files.items():
        (folder / file.replace("_", ".")).write_text(text)
    for version, model in versions.items():
        (folder / str(version)).mkdir()
        (folder / str(version) / model_file).write_bytes(model)
    return folder
