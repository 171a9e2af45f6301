"""The part of a check that only a service can do, done by the service's own module."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STAGES = ("preprocess", "postprocess", "inference")


@dataclass(frozen=True)
class Verdict:
    """What one check says of one version; `version` is empty where it speaks of the whole model."""

    model: str
    version: str
    ok: bool
    reason: str = ""


class CheckerFailed(Exception):
    """The service's module ended without a verdict on every model; the message is its last words."""


def is_installed(stage: str) -> bool:
    """Whether the service's checking module is here; looked for without importing the service."""
    spec = importlib.util.find_spec(f"trireme_{stage}")
    locations = (spec.submodule_search_locations or ()) if spec else ()
    return any((Path(location) / "check.py").is_file() for location in locations)


def run_checker(stage: str, models_dir: Path) -> Iterator[Verdict]:
    """Verdicts of one stage, as they come. Raises CheckerFailed."""
    command = (sys.executable, "-m", f"trireme_{stage}.check", str(models_dir))
    last_words: list[str] = []
    spoke = False
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with process:
        try:
            for line in process.stdout or ():
                verdict = parse_verdict(line)
                if verdict is None:
                    last_words = [*last_words[-4:], line.strip()]
                else:
                    spoke = True
                    yield verdict
        except BaseException:
            process.kill()
            raise
    code = process.returncode
    if code < 0 or (code != 0 and not spoke):
        raise CheckerFailed(f"ended with code {code}: {' | '.join(filter(None, last_words)) or 'no message'}")


def parse_verdict(line: str) -> Verdict | None:
    """A verdict of one line; None for anything else that a module may print."""
    try:
        value = json.loads(line)
        return Verdict(
            str(value["model"]),
            str(value.get("version") or ""),
            bool(value["ok"]),
            str(value.get("reason") or ""),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
