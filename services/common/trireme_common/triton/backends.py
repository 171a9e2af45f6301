"""Triton's backends: which are served here, and what to do about a model of another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from trireme_common.model_spec import Backend
from trireme_common.triton.pbtxt import ParsedConfig


class Served(NamedTuple):
    """A backend in Triton's words and in ours."""

    name: str
    platform: str
    backend: Backend
    files: tuple[str, ...]
    """Names of its model file, the usual one first."""

    def in_order(self, tensors: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
        """Tensors in the order of the model's arguments. TorchScript names none: Triton's convention is
        `NAME__0`, `NAME__1` ..., and the order of the file where that is not kept."""
        places = [_PLACE.search(tensor["name"]) for tensor in tensors]
        numbers = [int(place[1]) for place in places if place]
        if self.backend != "torch" or sorted(numbers) != list(range(len(tensors))):
            return tuple(tensors)
        return tuple(tensors[numbers.index(number)] for number in range(len(tensors)))


ONNX = Served("onnxruntime", "onnxruntime_onnx", "onnxruntime", ("model.onnx",))
TORCH = Served("pytorch", "pytorch_libtorch", "torch", ("model.pt", "model.pt2"))
SERVED = (ONNX, TORCH)

_PLACE = re.compile(r"__(\d{1,4})$")
_TO_ONNX = 'put model.onnx into the version and set backend: "onnxruntime"'
_INSTEAD = {
    "tensorflow": f"export it with tf2onnx, {_TO_ONNX}",
    "tensorrt": f"a plan is of one GPU and one TensorRT; take the ONNX file it was built from, {_TO_ONNX}",
    "openvino": f"take the ONNX file it was converted from, {_TO_ONNX}",
    "python": f"write its steps into a model.yaml, or export what it computes to ONNX, {_TO_ONNX}",
    "ensemble": "write what comes before and after the model as steps of a model.yaml, "
    "or call the models one by one",
}
_KEEP = "or leave it to a Triton server"


def served_backend(config: ParsedConfig, files: Iterable[str]) -> Served:
    """The backend that a configuration names by `backend` or `platform`, or else the one of `files`, names
    of what stands in the versions. Raises SpecError saying what to do about one that is not served."""
    message = config.message
    by_platform = next((served for served in SERVED if served.platform == message.platform), None)
    by_backend = next((served for served in SERVED if served.name == message.backend), None)
    if message.backend and by_backend is None:
        raise config.error(_not_served("backend", message.backend), "backend")
    if message.platform and by_platform is None:
        raise config.error(_not_served("platform", message.platform), "platform")
    if by_backend and by_platform and by_backend != by_platform:
        raise config.error(f"platform '{message.platform}' is of another backend", "backend")
    found = by_backend or by_platform or _by_file(message.default_model_filename, files)
    if found is None:
        choices = " or ".join(f'"{served.name}"' for served in SERVED)
        raise config.error(f"neither backend nor model file tells what it is; set backend: {choices}")
    return found


def _not_served(key: str, value: str) -> str:
    family = value.partition("_")[0]
    instead = _INSTEAD.get(family, f"export it to ONNX, {_TO_ONNX}")
    return f"{key} '{value}' is not served; {instead}, {_KEEP}"


def _by_file(named: str, files: Iterable[str]) -> Served | None:
    names = [named] if named else list(files)
    for served in SERVED:
        suffixes = {name.partition(".")[2] for name in served.files}
        if any(name.rpartition(".")[2] in suffixes for name in names):
            return served
    return None
