"""A model version that is made beside the repository and enters it whole, or not at all.

A draft is a small repository of its own, with one model and one version, in a directory of the real
one whose name begins with a dot: services pass it over, and a rename takes it into place.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trireme_common.errors import SpecError
from trireme_common.model_spec import read_model_spec
from trireme_common.repository import SPEC_FILE, scan, sha256
from trireme_lab.child import run_child
from trireme_lab.failure import LabFailure
from trireme_postprocess.postprocessor import load as load_postprocess
from trireme_preprocess.preprocessor import load as load_preprocess

_CHECK_SECONDS = 600
_DIGESTS = re.compile(r"^digests:[ \t]*(#.*)?\n", re.MULTILINE)


@dataclass(frozen=True)
class Draft:
    """One version in the making. `model` is its model's directory, `target` where that will stand."""

    repository: Path
    target: Path
    version: int

    @property
    def model(self) -> Path:
        return self.repository / self.target.name

    @property
    def directory(self) -> Path:
        """Where the version's files are put."""
        return self.model / str(self.version)

    @property
    def spec_file(self) -> Path:
        return self.model / SPEC_FILE


@contextmanager
def open_draft(target: Path, version: int) -> Iterator[Draft]:
    """A draft of `target`/`version`, with the files that all versions of the model share; what is not
    published is gone afterwards. Raises LabFailure if that version is there already."""
    if (target / str(version)).exists():
        raise LabFailure(f"{target / str(version)} is there already; versions are never overwritten")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        repository = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    except OSError as error:
        raise LabFailure(f"{target.parent} cannot be written: {error.strerror or error}") from error
    try:
        draft = Draft(repository, target, version)
        draft.directory.mkdir(parents=True)
        if target.is_dir():
            _copy_shared(target, draft.model)
        yield draft
    except SpecError as error:
        raise LabFailure(error.detail) from error
    finally:
        shutil.rmtree(repository, ignore_errors=True)


def next_version(model: Path) -> int:
    """One more than the highest version that stands in the model's directory."""
    return max(versions(model), default=0) + 1


def versions(model: Path) -> list[int]:
    """Versions of a model's directory, ascending; none where it is not there."""
    if not model.is_dir():
        return []
    return sorted(int(path.name) for path in model.iterdir() if re.fullmatch(r"0|[1-9]\d*", path.name))


def check_pins(model: Path) -> None:
    """Raises LabFailure where the model.yaml of a model's directory pins files in a form that `pin` cannot
    add to: the new version would not be pinned, and nobody would be told."""
    spec_file = model / SPEC_FILE
    if not spec_file.is_file() or _DIGESTS.search(spec_file.read_text("utf-8")):
        return
    try:
        pinned = read_model_spec(spec_file).digests
    except SpecError as error:
        raise LabFailure(error.detail) from error
    if pinned:
        raise LabFailure(
            f"{spec_file} pins files, but not in lines of their own below `digests:`, so those of a new "
            "version cannot be added; write a line `  FILE: SHA256` for each"
        )


def pin(draft: Draft) -> None:
    """Writes the SHA-256 of the version's files into the draft's model.yaml, where that pins files at all:
    beside the pins of the other versions, in place of those of a version of the same number. quality.json
    is left out: people may write in it. Raises LabFailure as `check_pins`."""
    check_pins(draft.model)
    text = draft.spec_file.read_text("utf-8") if draft.spec_file.is_file() else ""
    header = _DIGESTS.search(text)
    if header is None:
        return
    own = re.compile(rf"^[ \t]+[\"']?{draft.version}/[^\n]*\n?", re.MULTILINE)
    before, after = text[: header.end()], own.sub("", text[header.end() :])
    entries = "".join(f'  {name}: "{digest}"\n' for name, digest in _digests(draft).items())
    draft.spec_file.write_text(before + entries + after, "utf-8")


def check(draft: Draft) -> None:
    """Lets the services build the version, as `trireme models check` does. Raises LabFailure with the
    first reason."""
    try:
        for files in scan(draft.repository).versions:
            load_preprocess(files)
            load_postprocess(files)
    except SpecError as error:
        raise _refused(draft, error.detail) from error
    # Inference starts processes and tunes itself: it has a process of its own for that.
    command = (sys.executable, "-m", "trireme_inference.check", str(draft.repository), draft.target.name)
    try:
        ended = run_child(command, _CHECK_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise LabFailure(f"inference did not finish its check in {_CHECK_SECONDS} s") from error
    if ended.returncode != 0:
        raise _refused(draft, _reason(ended.stdout) or "\n".join(ended.stderr.strip().splitlines()[-3:]))


def _refused(draft: Draft, reason: str) -> LabFailure:
    return LabFailure(
        f"the services refuse the version: {reason.replace(str(draft.repository) + os.sep, '')}"
    )


def publish(draft: Draft) -> Path:
    """Renames the draft into the repository, and returns where the version stands. A model.yaml that
    changed goes first, so that a platform that looks in between sees pins of a version that is not
    there yet, which it passes over. Raises LabFailure if somebody else was faster."""
    final = draft.target / str(draft.version)
    try:
        if not draft.target.is_dir():
            draft.model.rename(draft.target)
            return final
        kept = _replace_spec(draft)
        try:
            draft.directory.rename(final)
        except OSError:
            if kept is not None:
                _write_beside(draft.target / SPEC_FILE, kept)
            raise
    except OSError as error:
        raise LabFailure(f"{final} could not be put in place: {error.strerror or error}") from error
    return final


def _replace_spec(draft: Draft) -> bytes | None:
    """The model.yaml that was replaced; None where it was not."""
    target = draft.target / SPEC_FILE
    if not draft.spec_file.is_file():
        return None
    new, old = draft.spec_file.read_bytes(), target.read_bytes() if target.is_file() else None
    if new != old:
        _write_beside(target, new)
    return old


def _write_beside(path: Path, content: bytes) -> None:
    """Replaces a file at once: a reader sees the old or the new content, never a part."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content)
    beside.replace(path)


def _copy_shared(target: Path, model: Path) -> None:
    """What stands beside the versions, and what model.yaml pins elsewhere than in them."""
    beside = {path.name for path in target.iterdir() if path.is_file() and not path.name.startswith(".")}
    spec = read_model_spec(target / SPEC_FILE) if SPEC_FILE in beside else None
    pinned = {name for name in spec.digests if not name.partition("/")[0].isdigit()} if spec else set()
    for name in sorted(beside | pinned):
        if (target / name).is_file():
            (model / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target / name, model / name)


def _digests(draft: Draft) -> Mapping[str, str]:
    files = sorted(path for path in draft.directory.rglob("*") if path.is_file())
    files = [path for path in files if path.name != "quality.json"]
    return {path.relative_to(draft.model).as_posix(): sha256(path) for path in files}


def _reason(output: str) -> str:
    """Reason of the first bad verdict among the lines that a checking module wrote."""
    for line in output.splitlines():
        try:
            verdict = json.loads(line)
        except ValueError:
            continue
        if isinstance(verdict, dict) and verdict.get("ok") is False:
            return str(verdict.get("reason") or "without a reason")
    return ""
