"""`python -m trireme_<stage>.check DIR [NAME]`: tries every version of a repository in one stage.

Prints a line of JSON a version: {"model", "version", "ok", "reason"}. Exits 1 if any is not ok.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from trireme_common.errors import SpecError, TriremeError
from trireme_common.repository import VersionFiles, scan


async def check_repository(stage: str, try_version: Callable[[VersionFiles], Awaitable[None]]) -> int:
    """Runs `try_version`, which raises SpecError to refuse, on what the command line names."""
    parser = argparse.ArgumentParser(prog=f"python -m trireme_{stage}.check", description=__doc__)
    parser.add_argument("directory", type=Path, help="the model repository")
    parser.add_argument("name", nargs="?", help="one model; all by default")
    arguments = parser.parse_args()
    try:
        found = scan(arguments.directory)
    except SpecError as error:
        parser.error(error.detail)
    failed = False
    for name, reason in found.broken:
        if arguments.name in (None, name):
            failed = True
            _say(name, "", reason)
    for files in found.versions:
        if arguments.name in (None, files.spec.name):
            reason = await _verdict(files, try_version)
            failed = failed or bool(reason)
            _say(files.spec.name, str(files.version), reason)
    return int(failed)


async def _verdict(files: VersionFiles, try_version: Callable[[VersionFiles], Awaitable[None]]) -> str:
    """Why the version is refused; empty if it is not."""
    try:
        await try_version(files)
    except TriremeError as error:
        return error.detail
    except Exception as error:  # a foreign file can make a library raise anything
        return f"{type(error).__name__}: {error}"
    return ""


def _say(model: str, version: str, reason: str) -> None:
    verdict = {"model": model, "version": version, "ok": not reason, "reason": reason}
    print(json.dumps(verdict, ensure_ascii=False), flush=True)
