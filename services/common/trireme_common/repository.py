"""The model repository on disk: which models and versions stand there, and which are unusable.

    <models>/<name>/model.yaml            what every version shares
    <models>/<name>/<version>/            an integer; the model file and its assets
    <models>/<name>/golden.json           one request and its answer (or <version>/golden.json)

A directory with a `config.pbtxt` is a model of Triton's and served as it is (`triton/`); a model.yaml
beside it wins. One that holds `<version>/model.onnx` and neither is served as task `tensor`.
Directories without any of the three are not models and are passed over.

What load requests brought along stands in a directory of its own and is read in place of the model:

    <models>/.trireme-overrides/<name>/config.pbtxt    its configuration
    <models>/.trireme-overrides/<name>/<version>/      its files; where there are none, the model's own
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from trireme_common.errors import SpecError
from trireme_common.model_spec import ModelSpec, read_model_spec
from trireme_common.triton.translation import CONFIG_FILE, TritonModel, read_triton_model

OVERRIDES = ".trireme-overrides"
SPEC_FILE = "model.yaml"
GOLDEN_FILE = "golden.json"
MODEL_FILES = ("model.onnx", "model.onnx.data", "model.pt", "model.pt2")
_BLOCK = 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True)
class VersionFiles:
    """One version of one model, as it stands on disk."""

    spec: ModelSpec
    version: int
    directory: Path
    signature: str
    """Changes when any file of the version, or of those that all versions share, does."""
    notes: tuple[str, ...] = ()
    """What of the model's files is not honoured, and what they name that is not there."""
    triton: TritonModel | None = None
    """Where `spec` comes from a config.pbtxt."""
    override: Path | None = None
    """Where that one was brought by a load request, and the files were not."""
    weights: str = ""
    """Changes when a file of the model itself does."""

    @property
    def spec_file(self) -> str:
        """Name of the file that `spec` was read from, for messages."""
        return CONFIG_FILE if self.triton is not None else SPEC_FILE

    @property
    def label_files(self) -> list[Path]:
        """Files beside the versions that hold labels of outputs."""
        names = self.triton.label_files.values() if self.triton is not None else ()
        return sorted({self.directory.parent / name for name in names})

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
    """Reads specs, each again only when its file has changed: repositories are looked at often."""

    def __init__(self) -> None:
        self._read: dict[tuple[Path, tuple[str, ...]], tuple[tuple[int, ...], Any]] = {}

    def read(self, path: Path) -> ModelSpec:
        """As `read_model_spec`."""
        return self._once(path, (), lambda: read_model_spec(path))

    def read_triton(self, path: Path, files: tuple[str, ...]) -> TritonModel:
        """As `read_triton_model`."""
        return self._once(path, files, lambda: read_triton_model(path, files))

    def _once(self, path: Path, more: tuple[str, ...], read: Callable[[], T]) -> T:
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        kept = self._read.get((path, more))
        if kept is None or kept[0] != stamp:
            kept = self._read[path, more] = (stamp, read())
        found: T = kept[1]
        return found


def scan(models_dir: Path, reader: SpecReader | None = None) -> Scan:
    """Reads every model.yaml and lists every version. Raises SpecError if `models_dir` is no directory.

    Whoever looks again and again keeps a `reader`.
    """
    reader = reader or SpecReader()
    if not models_dir.is_dir():
        raise SpecError(f"the model repository {models_dir} is not a directory; set TRIREME_MODELS_DIR")
    versions: list[VersionFiles] = []
    broken: list[tuple[str, str]] = []
    overrides = _directories(models_dir / OVERRIDES)
    for name, directory in sorted({**overrides, **_directories(models_dir)}.items()):
        try:
            versions.extend(_model_versions(directory, reader, overrides.get(name)))
        except (SpecError, OSError) as error:
            broken.append((directory.name, str(error)))
    return Scan(tuple(versions), tuple(broken))


def _directories(parent: Path) -> dict[str, Path]:
    """Directories that may hold a model, by name; none where `parent` is none."""
    if not parent.is_dir():
        return {}
    return {
        path.name: path for path in parent.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))
    }


def _model_versions(directory: Path, reader: SpecReader, override: Path | None) -> Iterator[VersionFiles]:
    if override is not None and any(map(_is_version, override.iterdir())):
        directory, override = override, None
    numbers = sorted(int(path.name) for path in directory.iterdir() if _is_version(path))
    files = _model_files(directory, numbers)
    found = _read_model(directory, files, reader, override)
    if found is None:
        return
    spec, notes, triton = found
    if not numbers:
        raise SpecError(f"{directory}: no version; put the model into {directory / '1'}")
    notes = (*notes, *_missing(directory, spec, numbers))
    # What was read, not only what stands there now: a load request may have put another in its place.
    read = spec.model_dump_json() if triton is None else repr(triton.config)
    for number in numbers:
        version = directory / str(number)
        made = VersionFiles(spec, number, version, "", notes=notes, triton=triton, override=override)
        yield replace(made, signature=_signature(made, read), weights=_weights(made))


def _read_model(
    directory: Path, files: tuple[str, ...], reader: SpecReader, override: Path | None
) -> tuple[ModelSpec, tuple[str, ...], TritonModel | None] | None:
    """Spec and notes of a model; None where the directory is none."""
    spec_path, config_path = directory / SPEC_FILE, (override or directory) / CONFIG_FILE
    if override is None and spec_path.is_file():
        spec = reader.read(spec_path)
        _check_name(spec_path, spec.name)
        notes = (f"{CONFIG_FILE} is not read: {SPEC_FILE} stands beside it",) if config_path.is_file() else ()
        return spec, notes, None
    if config_path.is_file():
        triton = reader.read_triton(config_path, files)
        _check_name(config_path, triton.spec.name)
        return triton.spec, triton.notes, triton
    if "model.onnx" in files:
        return bare_spec(directory.name), (), None
    if files:
        raise SpecError(
            f"{directory}: {files[0]} does not say what it takes and gives; "
            f"write a {SPEC_FILE} or a {CONFIG_FILE} with its inputs and outputs"
        )
    return None


def _missing(directory: Path, spec: ModelSpec, numbers: list[int]) -> list[str]:
    """Notes on versions that are named and not there. Raises SpecError where that is all of them: an order
    to serve nothing looks otherwise."""
    missing = [version for version in spec.versions.list if version not in numbers]
    if not missing:
        return []
    named = ", ".join(map(str, missing))
    if len(missing) == len(spec.versions.list):
        there = ", ".join(map(str, numbers))
        raise SpecError(f"{directory}: version policy 'specific' names {named}; there are only {there}")
    return [f"version policy 'specific' names {named}, which are not there"]


def _check_name(path: Path, name: str) -> None:
    if name != path.parent.name:
        raise SpecError(f"{path}: name is '{name}', but the directory is '{path.parent.name}'")


def _model_files(directory: Path, numbers: list[int]) -> tuple[str, ...]:
    """Names, of those that model files have, that stand in any of the versions."""
    return tuple(
        name for name in MODEL_FILES if any((directory / str(number) / name).exists() for number in numbers)
    )


def bare_spec(name: str) -> ModelSpec:
    """Spec of a `model.onnx` that stands alone. Raises SpecError for a name that cannot be served."""
    try:
        return ModelSpec(name=name)
    except ValueError as error:
        raise SpecError(f"model directory '{name}' cannot be a model's name") from error


def _is_version(path: Path) -> bool:
    return path.is_dir() and path.name.isascii() and path.name.isdigit() and str(int(path.name)) == path.name


def _signature(files: VersionFiles, read: str) -> str:
    model = files.directory.parent
    config = (files.override or model) / CONFIG_FILE
    shared = (model / SPEC_FILE, config, model / GOLDEN_FILE, *files.label_files)
    return _stamp(read, (*shared, *sorted(files.directory.rglob("*"))))


def _weights(files: VersionFiles) -> str:
    names = set(MODEL_FILES) | ({files.triton.model_file} if files.triton is not None else set())
    return _stamp("", (files.directory / name for name in sorted(names)))


def _stamp(text: str, paths: Iterable[Path]) -> str:
    """Changes when the text or any of the files does."""
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for path in paths:
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


def content_digest(
    files: VersionFiles, *, with_model: bool, digest_of: Callable[[Path], str] = sha256
) -> str:
    """SHA-256 over the spec and the version's files, as this stage read them.

    Verifies the digests that model.yaml pins for those files; raises SpecError where one differs.
    `with_model` False leaves out the model's weights, which only inference reads. `digest_of`: as `sha256`.
    """
    digest = hashlib.sha256(files.spec.model_dump_json().encode())
    weights: tuple[str, ...] = MODEL_FILES
    if files.triton is not None:
        digest.update(files.triton.config)
        weights = (*weights, files.triton.model_file)
    model_root = files.directory.parent
    for path in (*filter(Path.is_file, files.label_files), *files.files()):
        if not with_model and path.name in weights:
            continue
        actual = digest_of(path)
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
