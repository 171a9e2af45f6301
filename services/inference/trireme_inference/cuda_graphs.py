"""CUDA graphs of a model, one for each shape: a replay launches all kernels of a run at once, where a small
network on a fast GPU otherwise waits for the host to launch them one by one. Imports torch.

Rows are padded to the next power of two, so that a few graphs serve every batch. A graph reads and writes
fixed memory: one run at a time, from the copy in to the copy out. As in the section "CUDA graphs" of
torch's CUDA notes, the model runs a few times in a side stream before it is captured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_WARM_UPS = 3
_MOST_GRAPHS = 64
_CAPTURING = threading.Lock()
"""Torch captures one graph at a time in a process."""

Call = Callable[[Sequence[Tensor]], Sequence[Tensor]]


@dataclass(frozen=True)
class _Captured:
    graph: torch.cuda.CUDAGraph
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]


class CudaGraphs:
    """Runs `call` on `device` by graphs. `pad`: every tensor has the rows of the batch as its first
    dimension. Shapes beyond the first 64 run without a graph."""

    def __init__(self, call: Call, device: torch.device, *, pad: bool) -> None:
        self._call = call
        self._device = device
        self._pad = pad
        self._lock = threading.Lock()
        self._captured: dict[tuple[object, ...], _Captured] = {}
        # Graphs share the memory between their kernels; torch asks for one stream to all their captures.
        self._pool = torch.cuda.graph_pool_handle()
        self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def run(self, host: Sequence[Tensor]) -> Sequence[Tensor]:
        """Outputs in pinned memory. `host`: inputs in pinned memory. In the current stream, waits for it."""
        stream = torch.cuda.current_stream(self._device)
        with self._lock:
            captured = self._of(host)
            if captured is None:
                outputs = self._call([tensor.to(self._device, non_blocking=True) for tensor in host])
            else:
                for target, tensor in zip(captured.inputs, host, strict=True):
                    (target[: len(tensor)] if self._pad else target).copy_(tensor, non_blocking=True)
                captured.graph.replay()
                outputs = captured.outputs
            if self._pad:
                outputs = [output[: len(host[0])] for output in outputs]
            back = [
                torch.empty(output.shape, dtype=output.dtype, pin_memory=True).copy_(
                    output, non_blocking=True
                )
                for output in outputs
            ]
            stream.synchronize()
        return back

    def _of(self, host: Sequence[Tensor]) -> _Captured | None:
        shapes = [padded_shape(tuple(tensor.shape)) if self._pad else tuple(tensor.shape) for tensor in host]
        key = tuple(shapes)
        if key not in self._captured and len(self._captured) < _MOST_GRAPHS:
            self._captured[key] = self._capture(
                [
                    torch.zeros(shape, dtype=tensor.dtype, device=self._device)
                    for shape, tensor in zip(shapes, host, strict=True)
                ]
            )
        return self._captured.get(key)

    def _capture(self, inputs: Sequence[Tensor]) -> _Captured:
        current, side = torch.cuda.current_stream(self._device), self._side
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                self._call(inputs)
        current.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Another thread's allocation must not end this one's capture.
        with (
            _CAPTURING,
            torch.cuda.graph(graph, pool=self._pool, stream=side, capture_error_mode="thread_local"),
        ):
            outputs = self._call(inputs)
        return _Captured(graph, inputs, outputs)


def to_pinned(tensor: Tensor) -> Tensor:
    """Begins to copy a tensor of a GPU into pinned memory, in the current stream."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


def padded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with its rows rounded up to a power of two."""
    rows = shape[0]
    return (1 << (rows - 1).bit_length() if rows > 1 else 1, *shape[1:])
