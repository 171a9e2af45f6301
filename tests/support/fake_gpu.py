"""A GPU that a directory stands for: each process with a model there says what it takes, until it ends."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.crashing import Doubler
from trireme_inference.backend import OpenOptions
from trireme_inference.devices import require_room

MIB = 1 << 20
TAKES = 256 * MIB
"""What a model without weights takes."""


def free_bytes(gpu: Path) -> int:
    """What the driver would tell."""
    taken = sum(int(file.read_text()) for file in gpu.glob("[0-9]*") if Path(f"/proc/{file.name}").exists())
    return int((gpu / "total").read_text()) - taken


def open_on_gpu(directory: Path, options: OpenOptions) -> Doubler:
    """A model in a folder `models`; the GPU is the folder `gpu` beside that. Opened by name in a worker."""
    gpu = directory.parent.parent.parent / "gpu"
    require_room(0, free_bytes(gpu), options.device)
    (gpu / str(os.getpid())).write_text(str(TAKES))
    return Doubler(directory, options.device)
