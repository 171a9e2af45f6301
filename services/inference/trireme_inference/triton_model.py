"""What inference does for a model of Triton's beyond its spec: reshapes, labels, the configuration shown."""

from __future__ import annotations

from dataclasses import replace

import orjson

from trireme_common.errors import SpecError
from trireme_common.repository import VersionFiles
from trireme_common.stage_state import TensorInfo
from trireme_common.steps import Assets
from trireme_common.triton.document import model_config, to_json
from trireme_common.triton.tensors import Side
from trireme_inference.backend import Backend
from trireme_inference.reshape import Reshaped
from trireme_inference.signature import Signature


def in_file(files: VersionFiles, side: Side) -> tuple[TensorInfo, ...]:
    """The tensors that the spec declares, in the shapes that the model file has."""
    tensors = files.spec.inputs if side == "input" else files.spec.outputs
    infos = tuple(map(TensorInfo.of, tensors))
    if files.triton is None:
        return infos
    shapes = files.triton.input_shapes if side == "input" else files.triton.output_shapes
    return tuple(replace(info, shape=shapes.get(info.name, info.shape)) for info in infos)


def reshaped(backend: Backend, files: VersionFiles) -> Backend:
    """`backend` with the tensors that the model's configuration reshapes as callers see them.

    Raises SpecError where the model file has another shape.
    """
    triton = files.triton
    if triton is None or not (triton.input_shapes or triton.output_shapes):
        return backend
    seen = {tensor.name: tensor.shape for tensor in (*files.spec.inputs, *files.spec.outputs)}
    return Reshaped(
        backend,
        {name: (seen[name], shape) for name, shape in triton.input_shapes.items()},
        {name: (seen[name], shape) for name, shape in triton.output_shapes.items()},
    )


def labelled(files: VersionFiles, outputs: tuple[TensorInfo, ...]) -> tuple[TensorInfo, ...]:
    """`outputs` with the names of their classes, a line each of the files that the configuration names.

    Raises SpecError where a file cannot be read or belongs to no output.
    """
    label_files = files.triton.label_files if files.triton is not None else {}
    unknown = set(label_files) - {info.name for info in outputs}
    if unknown:
        raise SpecError(f"label_filename belongs to output '{min(unknown)}', which the model does not have")
    assets = Assets(files.directory.parent)
    return tuple(
        replace(info, labels=_labels(assets, label_files[info.name])) if info.name in label_files else info
        for info in outputs
    )


def config_json(files: VersionFiles, signature: Signature) -> str:
    """The version as Triton's JSON."""
    config = model_config(
        files.spec,
        signature.inputs,
        signature.outputs,
        batchable=signature.batchable,
        triton=files.triton,
    )
    return orjson.dumps(to_json(config)).decode()


def _labels(assets: Assets, name: str) -> tuple[str, ...]:
    try:
        text = assets.path(name).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SpecError(f"label file {name!r} is not UTF-8") from error
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))
