"""Runs clients against a server, each in a process of its own, one after the other: they share the models
that they load and unload."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.conformance.casebook import FAIL, Outcome
from tests.conformance.target import Target

Ask = Callable[[str], list[Outcome]]
"""Gives the outcomes of a client."""

ROOT = Path(__file__).resolve().parents[2]
_CLIENT_SECONDS = 180


def ask_all(clients: Sequence[str], target: Target) -> Iterator[Outcome]:
    """What came of every case of every client."""
    for client in clients:
        yield from ask(client, target)


def ask(client: str, target: Target) -> list[Outcome]:
    """What came of every case of one client. A process that fails is an outcome too."""
    command = [sys.executable, "-m", "tests.conformance.runner", client, target.to_json()]
    try:
        ended = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=_CLIENT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        told = _outcomes((error.stdout or b"").decode())
        return [*told, _broken(client, f"not ended after {_CLIENT_SECONDS} s")]
    outcomes = _outcomes(ended.stdout)
    if ended.returncode or not outcomes:
        outcomes.append(_broken(client, f"exit code {ended.returncode}: {ended.stderr[-2000:]}"))
    return outcomes


def _outcomes(lines: str) -> list[Outcome]:
    """Of a process that may have been ended within a line, and whose client may write lines of its own."""
    whole = [line for line in lines.splitlines() if line.startswith('{"client"') and line.endswith("}")]
    return [Outcome(**json.loads(line)) for line in whole]


def _broken(client: str, detail: str) -> Outcome:
    return Outcome(client, "process", "runs to its end", False, FAIL, detail)
