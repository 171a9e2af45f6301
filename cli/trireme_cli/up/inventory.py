"""The model repository as it must be before anything is started."""

from __future__ import annotations

from pathlib import Path

from trireme_cli.failure import Failure
from trireme_common.errors import SpecError
from trireme_common.repository import SPEC_FILE, Scan, scan
from trireme_common.triton.translation import CONFIG_FILE


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
    # A repository of Triton's may hold models of backends that are not served; they are UNAVAILABLE.
    broken = [(name, reason) for name, reason in found.broken if not _is_tritons(models_dir / name)]
    if broken:
        lines = "\n".join(f"  {name}: {reason}" for name, reason in broken)
        raise Failure(
            f"the model repository {models_dir} holds models that cannot be served:\n{lines}\n"
            f"Correct them, or move them away; `trireme models check {models_dir}` looks again."
        )
    if not found.versions:
        unserved = "".join(f"\n  {name}: {reason}" for name, reason in found.broken)
        raise Failure(
            f"the model repository {models_dir} holds no model that can be served.{unserved}\n"
            "A model is a directory NAME/ with NAME/model.yaml and NAME/1/model.onnx, "
            "or NAME/1/model.onnx alone."
        )
    return found


def _is_tritons(directory: Path) -> bool:
    return (directory / CONFIG_FILE).is_file() and not (directory / SPEC_FILE).is_file()


def tasks(found: Scan) -> dict[str, str]:
    """Task of every model."""
    return {files.spec.name: files.spec.task for files in found.versions}
