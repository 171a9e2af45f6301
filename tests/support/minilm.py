"""models/minilm as its script builds it, once for all runs of the suite on a machine."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.support.platform import ROOT

SCRIPT = ROOT / "lab" / "minilm" / "build.py"
_BUILD_SECONDS = 150


def build_minilm(cache: Path) -> Path:
    """The model's directory below `cache`, built where no earlier run has built it from the same script."""
    sources = (SCRIPT, SCRIPT.with_name("model.yaml"), ROOT / "constraints.txt")
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    built = cache / digest / "minilm"
    if not built.is_dir():
        fresh = cache / f"{digest}.fresh" / "minilm"
        command = [sys.executable, str(SCRIPT), "--output", str(fresh)]
        subprocess.run(command, check=True, timeout=_BUILD_SECONDS, capture_output=True)
        fresh.parent.rename(built.parent)
    return built
