"""The model repository as it must be before anything is started."""

from __future__ import annotations

from pathlib import Path

from trireme_cli.failure import Failure
from trireme_common.errors import SpecError
from trireme_common.repository import Scan, scan


def take_inventory(models_dir: Path) -> Scan:
    """What stands in the repository. Raises Failure if it is missing, empty, or holds a bad model.yaml."""
    if not models_dir.is_dir():
        kind = "is not a directory" if models_dir.exists() else "does not exist"
        raise Failure(
            f"the model repository {models_dir} {kind}.\n"
            "Name the directory that holds your models: --models DIR, or TRIREME_MODELS_DIR=DIR."
        )
    try:
        found = scan(models_dir)
    except (SpecError, OSError) as error:
        raise Failure(f"the model repository cannot be read: {error}") from error
    if found.broken:
        lines = "\n".join(f"  {name}: {reason}" for name, reason in found.broken)
        raise Failure(
            f"the model repository {models_dir} holds models that cannot be served:\n{lines}\n"
            f"Correct them, or move them away; `trireme models check {models_dir}` looks again."
        )
    if not found.versions:
        raise Failure(
            f"the model repository {models_dir} holds no model.\n"
            "A model is a directory NAME/ with NAME/model.yaml and NAME/1/model.onnx, "
            "or NAME/1/model.onnx alone."
        )
    return found


def tasks(found: Scan) -> dict[str, str]:
    """Task of every model."""
    return {files.spec.name: files.spec.task for files in found.versions}
