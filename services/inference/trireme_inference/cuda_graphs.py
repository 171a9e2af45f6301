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
from typing import Protocol

import torch
from torch import Tensor

_WARM_UPS = 3
_MOST_GRAPHS = 64
_CAPTURING = threading.Lock()
"""Torch captures one graph at a time in a process."""
# How far a row's answer may be from that beside other padding: one graph has the same kernels in both runs.
_RTOL = 1e-4
_ATOL = 1e-5
# And from that without padding, as a part of the largest: other shapes take other kernels, which add in
# another order, and in half precision or TF32 that shows.
_ROUNDING = 0.05

Call = Callable[[Sequence[Tensor]], Sequence[Tensor]]
Graph = Callable[[], Sequence[Tensor]]
"""Runs what was captured, on what its inputs hold now, and gives the memory that holds its outputs."""


class GraphDevice(Protocol):
    """What a device does for graphs, in the current stream."""

    def upload(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Copies in the device's memory."""

    def download(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Copies in the host's memory. Waits for them."""

    def warm_up(self, call: Call, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Outputs of a call after those that choose kernels and reserve their memory."""

    def capture(self, call: Call, inputs: Sequence[Tensor]) -> Graph:
        """The call as a graph that reads `inputs`. Raises where a graph cannot hold what it does."""


@dataclass
class _Captured:
    graph: Graph
    inputs: Sequence[Tensor]
    compared: bool = False
    """Whether padding was found to change no answer."""


class CudaGraphs:
    """Runs `call` by graphs. `pad`: every tensor has the rows of the batch as its first dimension.

    A shape runs without a graph where it is beyond the first 64, where the model fails on zeros of it or
    gives other rows than it took, and where no graph can hold what the model does. Padding ends with the
    first run whose answers it changes.
    """

    def __init__(self, call: Call, device: GraphDevice, *, pad: bool) -> None:
        self._call = call
        self._device = device
        self._pad = pad
        self._capturable = True
        self._lock = threading.Lock()
        self._captured: dict[tuple[object, ...], _Captured | None] = {}

    def run(self, host: Sequence[Tensor]) -> Sequence[Tensor] | None:
        """Outputs in host memory; None where a shape has no graph. `host`: inputs in host memory."""
        with self._lock:
            captured = self._of(host)
            if captured is None:
                return None
            answers = self._replayed(captured, host)
            padded = captured.inputs[0].shape != host[0].shape
            # Rows of zeros say nothing of how they get on with zeros.
            if captured.compared or not padded or not any(tensor.any() for tensor in host):
                return answers
            beside_rows = self._replayed(captured, host, beside_rows=True)
            alone = self._device.download(self._call(self._device.upload(host)))
            captured.compared = self._pad = _same(answers, beside_rows) and _near(answers, alone)
            return answers if captured.compared else alone

    def _of(self, host: Sequence[Tensor]) -> _Captured | None:
        shapes = tuple(
            padded_shape(tuple(tensor.shape)) if self._pad else tuple(tensor.shape) for tensor in host
        )
        if shapes not in self._captured and self._capturable and len(self._captured) < _MOST_GRAPHS:
            zeros = [
                torch.zeros(shape, dtype=tensor.dtype) for shape, tensor in zip(shapes, host, strict=True)
            ]
            self._captured[shapes] = self._made(self._device.upload(zeros))
        return self._captured.get(shapes)

    def _made(self, inputs: Sequence[Tensor]) -> _Captured | None:
        try:
            outputs = self._device.warm_up(self._call, inputs)
        except Exception:  # whatever it is, the run without a graph says it of the real input
            return None
        if self._pad and any(output.shape[:1] != inputs[0].shape[:1] for output in outputs):
            return None
        try:
            return _Captured(self._device.capture(self._call, inputs), inputs)
        except Exception:  # a model that waits for the device, to look at a value, is no graph
            # Torch's allocator takes this capture for one that goes on, and lets none follow in its pool.
            self._capturable = False
            return None

    def _replayed(
        self, captured: _Captured, host: Sequence[Tensor], *, beside_rows: bool = False
    ) -> Sequence[Tensor]:
        """Outputs in host memory, of padding with zeros or with the rows themselves."""
        for target, tensor in zip(captured.inputs, host, strict=True):
            if not self._pad:
                target.copy_(tensor, non_blocking=True)
                continue
            target[: len(tensor)].copy_(tensor, non_blocking=True)
            padding = target[len(tensor) :]
            if beside_rows:
                padding.copy_(tensor[: len(padding)], non_blocking=True)
            else:
                padding.zero_()  # rows of another caller stand there
        outputs = captured.graph()
        if self._pad:
            outputs = [output[: len(host[0])] for output in outputs]
        return self._device.download(outputs)


class CudaDevice:
    """A GPU behind GraphDevice."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # Graphs share the memory between their kernels; torch asks for one stream to all their captures.
        self._pool = torch.cuda.graph_pool_handle()
        self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._begun: list[torch.cuda.CUDAGraph] = []
        """The allocator goes on to ask a graph whose capture failed: it may not be freed."""

    def upload(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return [tensor.to(self._device, non_blocking=True) for tensor in tensors]

    def download(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        back = [
            torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
            for tensor in tensors
        ]
        torch.cuda.current_stream(self._device).synchronize()
        return back

    def warm_up(self, call: Call, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        current, side = torch.cuda.current_stream(self._device), self._side
        side.wait_stream(current)
        with torch.cuda.stream(side):
            for _ in range(_WARM_UPS):
                outputs = call(inputs)
        current.wait_stream(side)
        return outputs

    def capture(self, call: Call, inputs: Sequence[Tensor]) -> Graph:
        graph = torch.cuda.CUDAGraph()
        self._begun.append(graph)
        with (
            _CAPTURING,
            # A capture that fails leaves its own stream the current one.
            torch.cuda.stream(torch.cuda.current_stream(self._device)),
            # Another thread's allocation must not end this one's capture.
            torch.cuda.graph(graph, pool=self._pool, stream=self._side, capture_error_mode="thread_local"),
        ):
            outputs = call(inputs)

        def replay() -> Sequence[Tensor]:
            graph.replay()
            return outputs

        return replay


def padded_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape with its rows rounded up to a power of two."""
    rows = shape[0]
    return (1 << (rows - 1).bit_length() if rows > 1 else 1, *shape[1:])


def _same(left: Sequence[Tensor], right: Sequence[Tensor]) -> bool:
    return all(
        a.shape == b.shape
        and (
            torch.allclose(a, b, rtol=_RTOL, atol=_ATOL, equal_nan=True)
            if a.is_floating_point()
            else torch.equal(a, b)
        )
        for a, b in zip(left, right, strict=True)
    )


def _near(answers: Sequence[Tensor], alone: Sequence[Tensor]) -> bool:
    """Of floats: a class may change with the last bit of a score."""
    return all(
        a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=_ROUNDING * _largest(b), equal_nan=True)
        for a, b in zip(answers, alone, strict=True)
        if b.is_floating_point() and b.numel()
    )


def _largest(tensor: Tensor) -> float:
    """Of the finite ones."""
    return float(tensor.nan_to_num(0, 0, 0).abs().amax())
