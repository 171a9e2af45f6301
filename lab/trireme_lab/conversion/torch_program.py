"""Programs of `torch.export` (`.pt2`), which know their inputs, and which axes of them are free."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import torch

from trireme_common.errors import SpecError
from trireme_inference.torch_archive import check_program, open_archive
from trireme_inference.torch_program import check_texts
from trireme_lab.conversion.declaration import BATCH, Axis, Declared, Feeds, protocol_datatype
from trireme_lab.conversion.source import Serving, Wanted, named, only_tensor
from trireme_lab.conversion.torchscript import flat
from trireme_lab.export import OPSET, tidy
from trireme_lab.failure import LabFailure, LabUsage


class TorchProgram:
    """Inputs, types and free axes come from the program itself."""

    kind = "torch.export program"
    samples: Sequence[Feeds] = ()

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.serving: Serving = only_tensor(wanted, self.kind)
        self._wanted = wanted
        try:
            archive = open_archive(path)
            check_program(archive)
            check_texts(archive)
            with warnings.catch_warnings(action="ignore"):
                self._program = torch.export.load(str(path))
                self._module: Any = self._program.module()
        except SpecError as error:
            raise LabFailure(error.detail) from error
        except Exception as error:  # the loader raises whatever a damaged program makes it stumble over
            raise LabFailure(f"{path}: torch cannot load it: {str(error).strip()[:300]}") from error
        own = _declared(self._program)
        self.inputs = _with_ranges(own, wanted.inputs)

    def run(self, feeds: Feeds) -> Feeds:
        with torch.no_grad():
            tensors = flat(self._module(*(torch.from_numpy(feeds[each.name]) for each in self.inputs)))
        return dict(zip(named(self._wanted.outputs, len(tensors)), (t.numpy() for t in tensors), strict=True))

    def write_onnx(self, path: Path, example: Feeds, outputs: Sequence[Declared]) -> None:
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            program = torch.onnx.export(
                self._program,
                (),
                output_names=[each.name for each in outputs],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        if program is None:
            raise LabFailure("torch.onnx.export gave no program")
        onnx.save(tidy(program.model_proto, {each.name: each.free for each in self.inputs}), str(path))


def _declared(program: torch.export.ExportedProgram) -> tuple[Declared, ...]:
    names = set(program.graph_signature.user_inputs)
    axes: dict[str, str] = {}
    declared = []
    for node in program.graph.nodes:
        if node.op != "placeholder" or node.name not in names:
            continue
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            raise LabFailure(f"input '{node.name}' of the program is no tensor; only tensors are served")
        shape = tuple(_axis(size, at, axes) for at, size in enumerate(value.shape))
        declared.append(Declared(node.name, _datatype(node.name, value.dtype), shape))
    return tuple(declared)


def _datatype(name: str, dtype: torch.dtype) -> str:
    try:
        found = protocol_datatype(torch.empty(0, dtype=dtype).numpy())
    except TypeError:  # numpy has no such type, bfloat16 for one
        found = None
    if found is None:
        raise LabFailure(
            f"input '{name}' of the program is {dtype}, which no request can hold here; export a module that "
            "takes float32 and casts it itself"
        )
    return found


def _axis(size: Any, at: int, names: dict[str, str]) -> Axis:
    """A fixed size, or the name of the symbol that stands for it: `batch` for the first axis."""
    if isinstance(size, int):
        return size
    wish = BATCH if at == 0 else f"axis{at}"
    return names.setdefault(str(size), wish if wish not in names.values() else str(size))


def _with_ranges(own: tuple[Declared, ...], given: tuple[Declared, ...]) -> tuple[Declared, ...]:
    """The program's inputs with the ranges that the command line gives them. Raises LabUsage where it
    declares anything else than the program does."""
    ranges = {each.name: each for each in given}
    for each in own:
        other = ranges.pop(each.name, None)
        if other is not None and (other.datatype, other.shape) != (each.datatype, each.shape):
            raise LabUsage(f"input '{each.name}' of the program is {each.datatype} {list(each.shape)}")
    if ranges:
        raise LabUsage(f"the program has no input '{next(iter(ranges))}'; it has {[e.name for e in own]}")
    by_name = {each.name: each for each in given}
    return tuple(
        replace(each, low=by_name[each.name].low, high=by_name[each.name].high)
        if each.name in by_name
        else each
        for each in own
    )
