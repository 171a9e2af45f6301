"""A version's files as they were when they were checked: whoever opens them again opens nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trireme_common.errors import SpecError
from trireme_common.repository import VersionFiles, content_digest, sha256
from trireme_inference.onnx_scan import weight_files
from trireme_inference.torch_backend import PROGRAM, SCRIPT

_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class Content:
    """A version of which every file was read once."""

    files: VersionFiles
    digest: str
    """SHA-256 over the spec and all files, in hexadecimal."""
    _directory: Path
    """Where the version lay; its own path may be a link by which another one stands there later."""
    _read: Mapping[Path, str]
    """SHA-256 of each file there."""
    _digest_of: Callable[[Path], str]
    _others: dict[Path, _Stamp] = field(default_factory=dict)
    """Files that were found to be others by now, as they stood then."""

    @classmethod
    def of(cls, files: VersionFiles, digest_of: Callable[[Path], str] = sha256) -> Content:
        """Reads every file. Raises SpecError where one is not what model.yaml pins, OSError. `digest_of`: as
        `sha256`."""
        directory = files.directory.resolve()
        read: dict[Path, str] = {}

        def noted(path: Path) -> str:
            digest = digest_of(path)
            if path.is_relative_to(files.directory):
                read[directory / path.relative_to(files.directory)] = digest
            return digest

        digest = content_digest(files, with_model=True, digest_of=noted)
        return cls(files, digest, directory, read, digest_of)

    def require_unchanged(self) -> None:
        """Reads again what a process opens: the model file, and those that hold its weights. Raises SpecError
        unless each is what it was. One that is another by now is read once for as long as it stands there."""
        try:
            changed = self._known_other() or next(filter(self._is_other, self._opened()), None)
        except OSError as error:
            raise SpecError(f"the version's files cannot be read again: {error}") from error
        if changed is not None:
            name = self.files.directory / changed.relative_to(self._directory)
            raise SpecError(f"{name} has changed since it was checked: put it back, or load the model again")

    def _opened(self) -> Iterator[Path]:
        """Where the weights lie the model file says: it is to be known for the same one by then."""
        named = self.files.triton.model_file if self.files.triton is not None else ""
        if self.files.spec.backend != "onnxruntime":
            names = (named,) if named else (PROGRAM, SCRIPT)
            yield from (self._directory / name for name in names)
            return
        model = self._directory / (named or "model.onnx")
        if model.is_dir():
            model = model / "model.onnx"
        yield model
        try:
            yield from weight_files(model) - {model}
        except SpecError:  # one of them is not whole any more
            yield from self._read.keys() - {model}

    def _known_other(self) -> Path | None:
        return next((path for path, stamp in list(self._others.items()) if _stamp(path) == stamp), None)

    def _is_other(self, path: Path) -> bool:
        if path not in self._read:
            return False
        stamp = _stamp(path)
        if self._digest_of(path) == self._read[path]:
            return False
        self._others[path] = stamp
        return True


def _stamp(path: Path) -> _Stamp:
    """Changes when the file does; nobody can set the time of its last change back."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
