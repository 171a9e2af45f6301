"""A version's files as they were when they were checked: whoever opens them again opens nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from trireme_common.errors import SpecError
from trireme_common.repository import VersionFiles, content_digest


@dataclass(frozen=True)
class Content:
    """A version of which every file was read once."""

    files: VersionFiles
    digest: str
    """SHA-256 over the spec and all files, in hexadecimal."""

    @classmethod
    def of(cls, files: VersionFiles) -> Content:
        """Reads every file. Raises SpecError where one is not what model.yaml pins, OSError."""
        return cls(files, content_digest(files, with_model=True))

    def require_unchanged(self) -> None:
        """Reads every file again. Raises SpecError unless each is what it was."""
        try:
            digest = content_digest(self.files, with_model=True)
        except OSError as error:
            raise SpecError(f"the version's files cannot be read again: {error}") from error
        if digest != self.digest:
            raise SpecError(
                f"the files in {self.files.directory} have changed since they were checked: put them back, "
                "or load the model again"
            )
