"""TorchScript archives (`torch.jit.save`)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch

from trireme_common.errors import SpecError
from trireme_inference.torch_archive import check_script, open_archive
from trireme_lab.conversion.declaration import Declared, Feeds
from trireme_lab.conversion.source import Serving, Wanted, named, only_tensor
from trireme_lab.export import OPSET, tidy
from trireme_lab.failure import LabFailure, LabUsage


class TorchScript:
    """Its inputs are those that the command line declares, in the order of forward's arguments."""

    kind = "TorchScript archive"
    samples: Sequence[Feeds] = ()

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.serving: Serving = only_tensor(wanted, self.kind)
        if not wanted.inputs:
            raise LabUsage(
                f"a {self.kind} does not say what it takes: give --input for each input, or --sample"
            )
        self.inputs = wanted.inputs
        self._wanted = wanted
        try:
            check_script(open_archive(path))
            with _deprecated():
                self._module: Any = torch.jit.load(  # type: ignore[no-untyped-call]
                    str(path), map_location="cpu"
                ).eval()
        except SpecError as error:
            raise LabFailure(error.detail) from error
        except Exception as error:  # the loader raises RuntimeError and more for a damaged archive
            raise LabFailure(f"{path}: torch cannot load it: {str(error).strip()[:300]}") from error

    def run(self, feeds: Feeds) -> Feeds:
        with torch.no_grad():
            tensors = flat(self._module(*(torch.from_numpy(feeds[each.name]) for each in self.inputs)))
        return dict(zip(named(self._wanted.outputs, len(tensors)), (t.numpy() for t in tensors), strict=True))

    def write_onnx(self, path: Path, example: Feeds, outputs: Sequence[Declared]) -> None:
        # Torch's newer exporter takes no TorchScript; the older one is deprecated with it.
        with _deprecated(), torch.no_grad():
            torch.onnx.export(
                self._module,
                tuple(torch.from_numpy(example[each.name]) for each in self.inputs),
                str(path),
                input_names=[each.name for each in self.inputs],
                output_names=[each.name for each in outputs],
                dynamic_axes={each.name: each.free for each in (*self.inputs, *outputs)},
                opset_version=OPSET,
                dynamo=False,
            )
        onnx.save(tidy(onnx.load(str(path)), {each.name: each.free for each in self.inputs}), str(path))


def flat(value: Any) -> list[torch.Tensor]:
    """The tensors of what a forward returned: one, or tuples, lists and dicts of them, in order."""
    if isinstance(value, torch.Tensor):
        return [value.detach()]
    if isinstance(value, dict):
        return [tensor for inner in value.values() for tensor in flat(inner)]
    if isinstance(value, tuple | list):
        return [tensor for inner in value for tensor in flat(inner)]
    if value is None:
        return []
    raise LabFailure(f"the model gives a {type(value).__name__}; only tensors are served")


def _deprecated() -> warnings.catch_warnings[None]:
    return warnings.catch_warnings(action="ignore")
