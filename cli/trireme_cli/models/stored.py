"""Models of a repository on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from trireme_cli.failure import Failure
from trireme_common.errors import SpecError
from trireme_common.repository import Scan, VersionFiles, content_digest, scan, sha256

QUALITY_FILE = "quality.json"


def read_repository(models_dir: Path) -> Scan:
    """What stands there. Raises Failure if it is no directory."""
    try:
        return scan(models_dir)
    except (SpecError, OSError) as error:
        raise Failure(
            f"there is no model repository at {models_dir}.\n"
            "Name the directory that holds your models: --models DIR, or TRIREME_MODELS_DIR=DIR."
        ) from error


def stored_models(models_dir: Path) -> list[dict[str, Any]]:
    """`name`, `task`, `backend`, `versions`, `bytes`, `state`, `reason` of every model, sorted."""
    found = read_repository(models_dir)
    models: dict[str, dict[str, Any]] = {}
    for files in found.versions:
        spec = files.spec
        entry = models.setdefault(
            spec.name,
            {"name": spec.name, "task": spec.task, "backend": spec.backend, "versions": [], "bytes": 0}
            | {"state": "OK", "reason": ""},
        )
        entry["versions"].append(str(files.version))
        entry["bytes"] += _size(files)
    for name, reason in found.broken:
        models[name] = {"name": name, "task": "", "backend": "", "versions": [], "bytes": 0}
        models[name] |= {"state": "BAD", "reason": reason}
    return [models[name] for name in sorted(models)]


def describe(models_dir: Path, name: str) -> dict[str, Any]:
    """Everything that is known of one model. Raises Failure if it is not there or cannot be read."""
    found = read_repository(models_dir)
    for broken, reason in found.broken:
        if broken == name:
            raise Failure(f"model {name} cannot be served: {reason}")
    versions = [files for files in found.versions if files.spec.name == name]
    if not versions:
        names = sorted({files.spec.name for files in found.versions})
        there = f"it holds: {', '.join(names)}" if names else "it holds no model"
        raise Failure(f"no model {name!r} in {models_dir}; {there}")
    return {
        "name": name,
        "directory": str(versions[0].directory.parent),
        "spec": versions[0].spec.model_dump(mode="json"),
        "notes": list(versions[0].notes),
        "versions": [_version(files) for files in versions],
    }


def _version(files: VersionFiles) -> dict[str, Any]:
    try:
        digest, problem = content_digest(files, with_model=True), ""
    except (SpecError, OSError) as error:
        digest, problem = "", str(error)
    return {
        "version": str(files.version),
        "bytes": _size(files),
        "golden": files.golden is not None,
        "digest": digest,
        "problem": problem,
        "files": [
            {
                "name": str(path.relative_to(files.directory)),
                "bytes": path.stat().st_size,
                "sha256": sha256(path),
                "pinned": str(path.relative_to(files.directory.parent)) in files.spec.digests,
            }
            for path in files.files()
        ],
        "quality": read_quality(files.directory / QUALITY_FILE),
    }


def read_quality(path: Path) -> dict[str, Any] | None:
    """Measured quality that the training script wrote; None where there is none. Raises Failure."""
    if not path.is_file():
        return None
    try:
        quality = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise Failure(f"{path} cannot be read: {error}") from error
    return quality if isinstance(quality, dict) else {"quality": quality}


def _size(files: VersionFiles) -> int:
    return sum(path.stat().st_size for path in files.files())
