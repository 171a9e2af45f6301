"""Torch behind the backend port: TorchScript (`model.pt`) and torch.export programs (`model.pt2`).

Torch is imported with the first model that needs it, so a service without one pays nothing for it. What
the model takes and gives stands in model.yaml: `inputs` in the order of forward's arguments, `outputs` in
that of what it returns.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from trireme_common.errors import SpecError
from trireme_inference.backend import Backend, OpenOptions
from trireme_inference.devices import free_gpu_bytes, require_room
from trireme_inference.runtimes import installed
from trireme_inference.torch_archive import check_program, check_script, open_archive
from trireme_inference.torch_program import check_texts

PROGRAM = "model.pt2"
SCRIPT = "model.pt"
MISSING = (
    "backend 'torch': torch is not installed here; use the image trireme-inference:gpu-torch, or "
    "`pip install 'trireme-inference[torch]'`"
)


def open_torch(directory: Path, options: OpenOptions) -> Backend:
    """Opens `directory`/model.pt2 or model.pt, or the file `options` name. Raises SpecError.

    The archive is checked before torch sees it, and is checked where torch is missing too.
    """
    path = _model_file(directory, options)
    if not options.inputs or not options.outputs:
        raise SpecError(
            "backend 'torch' needs 'inputs' and 'outputs' in model.yaml, in the order of forward's "
            "arguments and results: the model file does not name them"
        )
    archive = open_archive(path)
    if path.suffix == ".pt2":
        check_program(archive)
        check_texts(archive)
    else:
        check_script(archive)
    if not installed("torch"):
        raise SpecError(MISSING)
    if options.device != "cpu":
        free = free_gpu_bytes(options.device)
        require_room(path.stat().st_size, free, options.device, options.gpu_memory_limit_bytes)
    runtime = importlib.import_module("trireme_inference.torch_runtime")
    backend: Backend = runtime.open_model(path, options)
    return backend


def _model_file(directory: Path, options: OpenOptions) -> Path:
    names = (options.model_file,) if options.model_file else (PROGRAM, SCRIPT)
    found = [directory / name for name in names if (directory / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise SpecError(f"{directory}: holds {PROGRAM} and {SCRIPT}; backend 'torch' serves one of them")
    raise SpecError(f"{directory / ' or '.join(names)} is missing; backend 'torch' serves that file")
