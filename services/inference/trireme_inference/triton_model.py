"""What inference does for a model of Triton's beyond its spec: reshapes, labels, the configuration shown."""

from __future__ import annotations

from collections.abc import Sequence
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


def completed(files: VersionFiles, side: Side, actual: Sequence[TensorInfo]) -> tuple[TensorInfo, ...]:
    """The tensors of the version's configuration, what a config.pbtxt leaves out of one as in `actual`, the
    model file's. Raises SpecError for one that is not in the file, as far as it was to be completed."""
    tensors = files.spec.inputs if side == "input" else files.spec.outputs
    if tensors or files.triton is None:
        return tuple(map(TensorInfo.of, tensors))
    have = {info.name: info for info in actual}
    infos = []
    for tensor in files.triton.inputs if side == "input" else files.triton.outputs:
        real = have.get(tensor.name)
        if real is None:
            raise SpecError(
                f"{files.spec_file} declares {side} '{tensor.name}'; the model file has {', '.join(have)}"
            )
        shape = real.shape if tensor.shape is None else tensor.shape
        infos.append(TensorInfo(tensor.name, tensor.datatype or real.datatype, shape))
    return tuple(infos)


def reshaped(backend: Backend, files: VersionFiles) -> Backend:
    """`backend` with the tensors that the model's configuration reshapes as callers see them.

    Raises SpecError where the model file has another shape.
    """
    triton = files.triton
    if triton is None or not (triton.input_shapes or triton.output_shapes):
        return backend
    seen = {tensor.name: tensor.shape or () for tensor in (*triton.inputs, *triton.outputs)}
    return Reshaped(
        backend,
        {name: (seen[name], shape) for name, shape in triton.input_shapes.items()},
        {name: (seen[name], shape) for name, shape in triton.output_shapes.items()},
    )


def labelled(files: VersionFiles, outputs: tuple[TensorInfo, ...]) -> tuple[TensorInfo, ...]:
    """`outputs` with the names of their classes, a line each of the files that the configuration names.

    Raises SpecError where a file cannot be read.
    """
    label_files = files.triton.label_files if files.triton is not None else {}
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
