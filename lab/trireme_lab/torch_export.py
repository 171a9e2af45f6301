"""Torch module to a `model.pt2` as the service takes it: weights and the program, nothing pickled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn


def to_program(
    model: nn.Module, example: Mapping[str, Tensor], path: Path, *, dynamic: Mapping[str, Mapping[int, str]]
) -> None:
    """Writes `model` to `path`. `example` gives its arguments in order (batch of two or more); `dynamic`
    names the free axes of each, which take any size from 1 on."""
    free = {name: torch.export.Dim(name, min=1) for axes in dynamic.values() for name in axes.values()}
    shapes = tuple(
        {axis: free[axis_name] for axis, axis_name in dynamic.get(name, {}).items()} for name in example
    )
    with warnings.catch_warnings():
        # torch 2.13 copies an object of its own that it has deprecated itself.
        warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
        program = torch.export.export(model.eval(), tuple(example.values()), dynamic_shapes=shapes)
    # Example inputs are the one part that torch.export.save pickles; the service takes no pickles.
    program.example_inputs = None
    torch.export.save(program, str(path))
