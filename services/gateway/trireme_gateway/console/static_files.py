"""The console's files: read when one is first asked for, and kept with what HTTP says about it."""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

# Written down here because mimetypes asks the machine, which may know none or others.
_MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


class StaticFile:
    """One file as it is sent, plain and as gzip. Reading and packing it block, for a tenth of a second."""

    def __init__(self, entry: Traversable, media_type: str) -> None:
        self._entry = entry
        self.media_type = media_type

    @functools.cached_property
    def body(self) -> bytes:
        return self._entry.read_bytes()

    @functools.cached_property
    def gzipped(self) -> bytes:
        return gzip.compress(self.body, 6, mtime=0)

    @functools.cached_property
    def etag(self) -> str:
        """Weak, as the two forms share it."""
        return f'W/"{hashlib.sha256(self.body).hexdigest()[:20]}"'


@functools.cache
def static_files() -> Mapping[str, StaticFile]:
    """Every file by its path under `console/static`, such as `swagger/swagger-ui.css`."""
    return dict(_found(files("trireme_gateway.console") / "static", ""))


def _found(folder: Traversable, prefix: str) -> list[tuple[str, StaticFile]]:
    found: list[tuple[str, StaticFile]] = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        media_type = _MEDIA_TYPES.get(name.rpartition(".")[2])
        if entry.is_dir():
            found += _found(entry, f"{name}/")
        elif media_type:
            found.append((name, StaticFile(entry, media_type)))
    return found
