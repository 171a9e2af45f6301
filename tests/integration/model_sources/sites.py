"""A repository to serve, and a cache directory that it comes into."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

from tests.support.web_server import WebServer
from trireme_common.remote.mirror import Passed
from trireme_common.remote.open_source import build_mirror
from trireme_common.remote.progress import Progress
from trireme_common.repository import scan
from trireme_common.settings import ModelsSettings

WEIGHTS = random.Random(7).randbytes(2_000_000)
Files = dict[str, bytes]


def repository() -> Files:
    """One model with two versions and one with one."""
    return {
        "alpha/model.yaml": b"name: alpha\n",
        "alpha/1/model.onnx": b"first",
        "alpha/2/model.onnx": WEIGHTS,
        "alpha/2/assets/words.txt": "一\n".encode(),
        "beta/1/model.onnx": b"bare",
        "README.md": b"beside the models",
    }


class Remote:
    """A running server and the URL of the repository in it."""

    def __init__(self, server: WebServer, url: str, files: Files, prefix: str = "") -> None:
        self.server = server
        self.url = url
        self._files = files
        self._prefix = prefix

    def put(self, path: str, body: bytes) -> None:
        self._files[self._prefix + path] = body

    def delete(self, path: str) -> None:
        del self._files[self._prefix + path]


class Site:
    """A cache directory and passes into it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.progress = Progress(lambda _: None)

    def run(self, url: str, **more: Any) -> Passed:
        """One pass of a process that has just started."""
        self.progress = Progress(lambda _: None)
        mirror, cache = build_mirror(self.settings(url, **more), self.progress, threading.Event())
        with cache.lock() as mine:
            assert mine
            return mirror.run()

    def settings(self, url: str, **more: Any) -> ModelsSettings:
        """Settings of such a process."""
        return ModelsSettings().model_copy(
            update={
                "models_dir": self.directory,
                "models_source": url,
                "models_source_allow_http": True,
                "models_source_timeout_seconds": 5.0,
                **more,
            }
        )

    def versions(self) -> dict[str, list[int]]:
        """What the stages would find."""
        found: dict[str, list[int]] = {}
        for files in scan(self.directory).versions:
            found.setdefault(files.spec.name, []).append(files.version)
        return found
