"""The model repository on disk: which models and versions stand there, and which are unusable.

    <models>/<name>/model.yaml            what every version shares
    <models>/<name>/<version>/            an integer; the model file and its assets
    <models>/<name>/golden.json           one request and its answer (or <version>/golden.json)

A directory that holds `<version>/model.onnx` and no model.yaml is served as task `tensor`.
Directories with neither are not models and are passed over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trireme_common.errors import SpecError
from trireme_common.model_spec import ModelSpec, read_model_spec

SPEC_FILE = "model.yaml"
GOLDEN_FILE = "golden.json"
MODEL_FILES = ("model.onnx", "model.onnx.data", "model.pt", "model.pt2")
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class VersionFiles:
    """One version of one model, as it stands on disk."""

    spec: ModelSpec
    version: int
    directory: Path
    signature: str
    """Changes when any file of the version, or its model.yaml, does."""

    @property
    def golden(self) -> Path | None:
        """The golden request of this version, else the one that all versions share."""
        for path in (self.directory / GOLDEN_FILE, self.directory.parent / GOLDEN_FILE):
            if path.is_file():
                return path
        return None

    def files(self) -> list[Path]:
        """Every regular file of the version, sorted."""
        return sorted(path for path in self.directory.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Scan:
    """What one look at the repository found."""

    versions: tuple[VersionFiles, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()
    """Model name and reason, for models that cannot be read as a whole."""


class SpecReader:
    """Reads model.yaml files, each again only when it has changed: repositories are looked at often."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[tuple[int, ...], ModelSpec]] = {}

    def read(self, path: Path) -> ModelSpec:
        """As `read_model_spec`."""
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        kept = self._read.get(path)
        if kept is None or kept[0] != stamp:
            kept = self._read[path] = (stamp, read_model_spec(path))
        return kept[1]


def scan(models_dir: Path, reader: SpecReader | None = None) -> Scan:
    """Reads every model.yaml and lists every version. Raises SpecError if `models_dir` is no directory.

    Whoever looks again and again keeps a `reader`.
    """
    reader = reader or SpecReader()
    if not models_dir.is_dir():
        raise SpecError(f"the model repository {models_dir} is not a directory; set TRIREME_MODELS_DIR")
    versions: list[VersionFiles] = []
    broken: list[tuple[str, str]] = []
    for directory in sorted(models_dir.iterdir()):
        if not directory.is_dir() or directory.name.startswith((".", "_")):
            continue
        try:
            versions.extend(_model_versions(directory, reader))
        except (SpecError, OSError) as error:
            broken.append((directory.name, str(error)))
    return Scan(tuple(versions), tuple(broken))


def _model_versions(directory: Path, reader: SpecReader) -> Iterator[VersionFiles]:
    numbers = sorted(int(path.name) for path in directory.iterdir() if _is_version(path))
    spec_path = directory / SPEC_FILE
    if spec_path.is_file():
        spec = reader.read(spec_path)
        if spec.name != directory.name:
            raise SpecError(f"{spec_path}: name is '{spec.name}', but the directory is '{directory.name}'")
        if not numbers:
            raise SpecError(f"{directory}: no version; put the model into {directory / '1'}")
    elif any((directory / str(number) / "model.onnx").is_file() for number in numbers):
        spec = bare_spec(directory.name)
    else:
        return
    for number in numbers:
        version = directory / str(number)
        yield VersionFiles(spec, number, version, _signature(spec_path, version))


def bare_spec(name: str) -> ModelSpec:
    """Spec of a `model.onnx` that has no model.yaml. Raises SpecError for a name that cannot be served."""
    try:
        return ModelSpec(name=name)
    except ValueError as error:
        raise SpecError(f"model directory '{name}' cannot be a model's name") from error


def _is_version(path: Path) -> bool:
    return path.is_dir() and path.name.isascii() and path.name.isdigit() and str(int(path.name)) == path.name


def _signature(spec_path: Path, directory: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in (spec_path, directory.parent / GOLDEN_FILE, *sorted(directory.rglob("*"))):
        try:
            stat = path.stat()
        except OSError:
            continue
        if path.is_file():
            digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\n".encode())
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def content_digest(files: VersionFiles, *, with_model: bool) -> str:
    """SHA-256 over the spec and the version's files, as this stage read them.

    Verifies the digests that model.yaml pins for those files; raises SpecError where one differs.
    `with_model` False leaves out the model's weights, which only inference reads.
    """
    digest = hashlib.sha256(files.spec.model_dump_json().encode())
    model_root = files.directory.parent
    for path in files.files():
        if not with_model and path.name in MODEL_FILES:
            continue
        actual = sha256(path)
        name = os.fspath(path.relative_to(model_root))
        expected = files.spec.digests.get(name)
        if expected is not None and expected != actual:
            raise SpecError(f"{path}: SHA-256 is {actual}, but model.yaml pins {expected}")
        digest.update(f"{name}\0{actual}\n".encode())
    _check_other_pins(files)
    return digest.hexdigest()


def _check_other_pins(files: VersionFiles) -> None:
    """Pinned files must exist; those beside the versions, golden.json for one, are verified here."""
    for name, expected in files.spec.digests.items():
        path = files.directory.parent / name
        folder, _, inside = name.partition("/")
        if inside and folder.isdigit() and folder != str(files.version):
            continue  # another version's file
        if not path.is_file():
            raise SpecError(f"{path}: pinned by model.yaml, but missing")
        if folder != str(files.version) and sha256(path) != expected:
            raise SpecError(f"{path}: SHA-256 is not the one that model.yaml pins")
