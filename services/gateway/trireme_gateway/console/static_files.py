"""The console's files, read once and kept in memory with what HTTP says about them."""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file as it is sent, plain and as gzip."""

    body: bytes
    gzipped: bytes
    media_type: str
    etag: str
    """Weak, as the two forms share it."""


@functools.cache
def static_files() -> Mapping[str, StaticFile]:
    """Every file by its path under `console/static`, such as `swagger/swagger-ui.css`."""
    return dict(_read(files("trireme_gateway.console") / "static", ""))


def _read(folder: Traversable, prefix: str) -> list[tuple[str, StaticFile]]:
    found: list[tuple[str, StaticFile]] = []
    for entry in folder.iterdir():
        name = prefix + entry.name
        media_type = _MEDIA_TYPES.get(name.rpartition(".")[2])
        if entry.is_dir():
            found += _read(entry, f"{name}/")
        elif media_type:
            found.append((name, _static_file(entry.read_bytes(), media_type)))
    return found


def _static_file(body: bytes, media_type: str) -> StaticFile:
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    return StaticFile(body, gzip.compress(body, 6, mtime=0), media_type, etag)
