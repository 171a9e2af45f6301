"""Small deterministic torch models as the archives that are served, and hostile ones made of them."""

from __future__ import annotations

import copyreg
import io
import json
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trireme_lab.torch_export import to_program

SPEC = """\
backend: torch
inputs: [{name: x, datatype: FP32, shape: [-1, 4]}]
outputs: [{name: y, datatype: FP32, shape: [-1, 3]}]
"""


class Linear(nn.Module):
    """y [N, 3] = x [N, 4] W + b, W and b from a fixed seed."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.layer = nn.Linear(4, 3)
        with torch.no_grad():
            self.layer.weight.copy_(torch.rand((3, 4), generator=generator))
            self.layer.bias.copy_(torch.rand(3, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.layer(x)
        return answer


class Two(nn.Module):
    """(a + b, a - b) of FP32 [N, 2] each."""

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a + b, a - b


def write_program(path: Path, model: nn.Module, *example: Tensor) -> Path:
    """model.pt2 as the service takes it, the rows free."""
    names = [f"input_{number}" for number in range(len(example))]
    to_program(
        model, dict(zip(names, example, strict=True)), path, dynamic={name: {0: "batch"} for name in names}
    )
    return path


def write_script(path: Path, model: nn.Module) -> Path:
    """model.pt, TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(model.eval()).save(str(path))  # type: ignore[no-untyped-call]
    return path


class Touches:
    """Unpickles by writing a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (exec, (f"open({str(self.canary)!r}, 'w').close()",))


def pickled(canary: Path) -> bytes:
    """A pickle that writes `canary` when it is loaded by Python's unpickler."""
    return pickle.dumps(Touches(canary), protocol=2)


def torch_pickled(canary: Path) -> bytes:
    """The same in the archive that torch.save writes."""
    buffer = io.BytesIO()
    copyreg.pickle(Touches, Touches.__reduce__)
    torch.save({"x": Touches(canary)}, buffer)
    return buffer.getvalue()


def rewrite(path: Path, change: Mapping[str, bytes | None], *, deflate: bool = False) -> Path:
    """The archive again as torch writes one, with entries (below its folder) added, changed or, for None,
    left out."""
    with zipfile.ZipFile(path) as zipped:
        entries = {name.partition("/")[2]: zipped.read(name) for name in zipped.namelist()}
    entries.update({name: data for name, data in change.items() if data is not None})
    writer = torch._C.PyTorchFileWriter(str(path))
    for name, data in entries.items():
        if change.get(name, b"") is not None and not name.startswith(".data/") and name != "version":
            writer.write_record(name, data, len(data))
    writer.write_end_of_file()
    return path


def edit_program(path: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """The torch.export archive with its program changed."""
    with zipfile.ZipFile(path) as zipped:
        (name,) = [name for name in zipped.namelist() if name.endswith("models/model.json")]
        program = json.loads(zipped.read(name))
    edit(program)
    return rewrite(path, {"models/model.json": json.dumps(program).encode()})
