"""Which runtimes are installed here and which of them can use CUDA, by their files: importing one takes
seconds and hundreds of megabytes, and the process that asks may never run a model."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

_TORCH_CUDA = re.compile(r"^cuda\b.*=\s*['\"]\d", re.MULTILINE)


def installed(package: str) -> bool:
    """Whether a top-level package can be imported."""
    return importlib.util.find_spec(package) is not None


def with_cuda() -> frozenset[str]:
    """Names of the backends whose runtime was built for CUDA."""
    onnxruntime, torch = _folder("onnxruntime"), _folder("torch")
    found = set()
    if onnxruntime and (onnxruntime / "capi" / "libonnxruntime_providers_cuda.so").is_file():
        found.add("onnxruntime")
    if torch and _TORCH_CUDA.search((torch / "version.py").read_text("utf-8")):
        found.add("torch")
    return frozenset(found)


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None
