"""What a load request brings along: a configuration, and files, in place of those of the repository.

They are put into the repository, where every stage reads them; so this is for a gateway that sees the
same repository as the stages and may write it. What was there before comes back where a load fails.
"""

from __future__ import annotations

import base64
import binascii
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trireme_common.errors import Code, SpecError, TriremeError
from trireme_common.model_spec import read_model_spec
from trireme_common.repository import MODEL_FILES, OVERRIDES, SPEC_FILE
from trireme_common.triton.sent_config import to_pbtxt
from trireme_common.triton.translation import CONFIG_FILE, read_triton_model

_FILE = re.compile(r"file:([1-9][0-9]{0,17})/([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})", re.ASCII)


@dataclass(frozen=True)
class Override:
    """`config` is a config.pbtxt; `files` are contents by version and name, empty where they are the
    model's own."""

    config: bytes
    files: Mapping[tuple[str, str], bytes] = field(default_factory=dict)

    @property
    def versions(self) -> frozenset[str]:
        return frozenset(version for version, _ in self.files)


def read_override(model: str, parameters: Mapping[str, Any]) -> Override | None:
    """What the parameters of a load request bring along; None where they bring nothing.

    Values of files are bytes, or strings of base64. Raises TriremeError(INVALID_ARGUMENT), worded as
    Triton does where it has a word for it.
    """
    files: dict[tuple[str, str], bytes] = {}
    for name, value in parameters.items():
        found = _FILE.fullmatch(name)
        if found is not None:
            files[found[1], found[2]] = _content(name, value)
        elif name.startswith("file:"):
            raise _invalid(f"'{name[:160]}' is no file of a version: file:<version>/<name>")
        elif name != "config":
            raise _invalid(f"loading takes no parameter '{name[:80]}'; it takes 'config' and 'file:...'")
    if "config" not in parameters:
        if files:
            raise _invalid("override model directory requires 'config' to be provided beside its files")
        return None
    config = parameters["config"]
    if not isinstance(config, str):
        raise _invalid("parameter 'config' must be a string")
    try:
        return Override(to_pbtxt(model, config), files)
    except SpecError as error:
        raise _invalid(f"failed to load '{model}': {error.detail}") from error


def _content(name: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise _invalid(f"parameter '{name}' must be the base64 of the file's content") from error


class Undo:
    """Brings back what was there before an override was put or taken away. Both block; the first one that
    is called counts."""

    def __init__(self, place: Path, before: Path | None) -> None:
        self._place = place
        self._before = before

    def keep(self) -> None:
        """The change stands."""
        if self._before is not None:
            shutil.rmtree(self._before, ignore_errors=True)

    def undo(self) -> None:
        """The change is taken back."""
        shutil.rmtree(self._place, ignore_errors=True)
        if self._before is not None:
            self._before.replace(self._place)


class OverrideFiles:
    """Puts overrides into the repository that the stages read. Methods block."""

    def __init__(self, models_dir: Path | None = None) -> None:
        """None where this gateway does not see it, or may not change it."""
        self._models_dir = models_dir

    def put(self, model: str, override: Override) -> Undo:
        """The next look of the stages finds it. Raises TriremeError(INVALID_ARGUMENT) where it cannot be
        served, or there is nowhere to put it."""
        if self._models_dir is None or not self._models_dir.is_dir():
            raise _invalid(
                "a model is loaded as it stands in the repository: this gateway takes no 'config' and no "
                "files, as it does not see the repository of the stages (TRIREME_MODELS_DIR), or was told "
                "not to (TRIREME_GATEWAY_MODEL_OVERRIDES)"
            )
        own = self._models_dir / model
        _check_replaceable(own)
        fresh = self._aside()
        try:
            _write(fresh / model, override)
            _check(fresh / model, override, own)
            return self._swap(model, fresh / model)
        except OSError as error:
            raise _invalid(
                f"failed to load '{model}': the repository cannot be written: {error.strerror}"
            ) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def take_away(self, model: str) -> None:
        """The model is again what the repository has of it."""
        if self._models_dir is not None and (self._models_dir / OVERRIDES / model).is_dir():
            self._swap(model, None).keep()

    def _aside(self) -> Path:
        assert self._models_dir is not None
        return self._models_dir / OVERRIDES / f".{uuid.uuid4().hex}"

    def _swap(self, model: str, fresh: Path | None) -> Undo:
        assert self._models_dir is not None
        place, before = self._models_dir / OVERRIDES / model, None
        if place.exists():
            before = self._aside()
            place.replace(before)
        if fresh is not None:
            fresh.replace(place)
        return Undo(place, before)


def _check_replaceable(own: Path) -> None:
    """Whether a request may stand in for the repository's model, where that has one."""
    try:
        spec = read_model_spec(own / SPEC_FILE)
    except (SpecError, OSError):  # there is none, or none that is served
        return
    if spec.task != "tensor":
        raise _invalid(
            f"failed to load '{own.name}': it has pre- and postprocess of its own, which no 'config' says"
        )
    if spec.digests:
        raise _invalid(f"failed to load '{own.name}': its {SPEC_FILE} pins the digests of its files")


def _check(written: Path, override: Override, own: Path) -> None:
    """Whether the stages will be able to read it; `own` has the files where it brings none."""
    names = {name for _, name in override.files}
    if not override.files:
        if not own.is_dir():
            raise TriremeError(
                Code.MODEL_NOT_FOUND, f"unknown model '{own.name}': the request brings no files of it"
            )
        names = {path.name for path in own.glob("[1-9]*/*")}
    try:
        read_triton_model(written / CONFIG_FILE, [name for name in MODEL_FILES if name in names])
    except SpecError as error:
        reason = error.detail.replace(f"{written.parent}/", "")
        raise _invalid(f"failed to load '{own.name}': {reason}") from error


def _write(directory: Path, override: Override) -> None:
    directory.mkdir(parents=True)
    (directory / CONFIG_FILE).write_bytes(override.config)
    for (version, name), content in override.files.items():
        (directory / version).mkdir(exist_ok=True)
        (directory / version / name).write_bytes(content)


def _invalid(detail: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, detail)
