"""A backend whose callers see some tensors in another shape than its model file does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from trireme_common.errors import SpecError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array
from trireme_inference.backend import Backend, RunError

Shape = tuple[int, ...]


class Reshaped:
    """A Backend of its own, around another.

    `inputs` and `outputs` hold, by name, the shape that callers see and the one of the model file, batch
    dimension first where there is one.
    """

    def __init__(
        self,
        backend: Backend,
        inputs: Mapping[str, tuple[Shape, Shape]],
        outputs: Mapping[str, tuple[Shape, Shape]],
    ) -> None:
        self.inputs = _seen("input", backend.inputs, inputs)
        self.outputs = _seen("output", backend.outputs, outputs)
        self.platform, self.device = backend.platform, backend.device
        self._backend = backend
        self._to_file = {name: shapes[1] for name, shapes in inputs.items()}
        self._to_caller = {name: shapes[0] for name, shapes in outputs.items()}

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        given = {name: _reshaped(array, self._to_file.get(name)) for name, array in feed.items()}
        outputs = self._backend.run(given, fetch)
        return [
            _reshaped(array, self._to_caller.get(name)) for name, array in zip(fetch, outputs, strict=True)
        ]

    def close(self) -> None:
        self._backend.close()


def _seen(
    kind: str, actual: Iterable[TensorInfo], shapes: Mapping[str, tuple[Shape, Shape]]
) -> tuple[TensorInfo, ...]:
    """The model file's tensors as callers see them. Raises SpecError where the file has another shape."""
    seen = []
    for info in actual:
        if info.name in shapes:
            outer, inner = shapes[info.name]
            if len(inner) != len(info.shape) or any(
                there not in (-1, said) for said, there in zip(inner, info.shape, strict=True)
            ):
                raise SpecError(
                    f"{kind} '{info.name}': reshaped to {list(inner)}, the model file has {list(info.shape)}"
                )
            info = replace(info, shape=outer)
        seen.append(info)
    return tuple(seen)


def _reshaped(array: Array, shape: Shape | None) -> Array:
    """`array` as `shape`, whose first free size is the batch where it has two."""
    if shape is None:
        return array
    if shape.count(-1) > 1:
        shape = (len(array), *shape[1:])
    try:
        return np.reshape(array, shape)
    except ValueError as error:
        raise RunError(
            f"a tensor of shape {list(array.shape)} cannot be reshaped to {list(shape)}"
        ) from error
