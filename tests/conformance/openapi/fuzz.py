"""Asks a server whatever its description allows, and much that it does not, by schemathesis."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.conformance.openapi.descriptions import Description

# It calls bytes that fit the schema and are no picture a failure of the server.
_LEFT_OUT = "positive_data_acceptance"
_HOOKS = "tests.conformance.openapi.hooks"
_ROOT = Path(__file__).resolve().parents[3]
_SECONDS = 3600
_REPORT_CHARACTERS = 60_000


class FuzzError(Exception):
    """What schemathesis found; the message is its own report."""


def fuzz(description: Description, url: str, *, cases: int, seed: int, phases: str = "") -> str:
    """Runs `cases` for each operation and returns the end of the report. Raises FuzzError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openapi.json"
        path.write_text(json.dumps(description))
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "--no-color",
            "run",
            str(path),
            f"--url={url}",
            "--checks=all",
            f"--exclude-checks={_LEFT_OUT}",
            f"--max-examples={cases}",
            f"--seed={seed}",
            "--continue-on-failure",
            "--generation-database=none",
            "--suppress-health-check=all",  # they judge the speed of this machine
            *([f"--phases={phases}"] if phases else []),
        ]
        ended = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(_ROOT), "SCHEMATHESIS_HOOKS": _HOOKS},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    report = ended.stdout + ended.stderr
    if ended.returncode:
        at = min((at for at in map(report.find, ("= ERRORS =", "= FAILURES =")) if at >= 0), default=0)
        raise FuzzError(report[at : at + _REPORT_CHARACTERS])
    return report[-2000:]
