"""A loaded torch model: tensors to the device, one call, tensors back. Imports torch."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass
from torch.fx import GraphModule

from trireme_common.errors import SpecError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array
from trireme_inference import run_clock
from trireme_inference.backend import OpenOptions, RunError
from trireme_inference.cuda_graphs import CudaDevice, CudaGraphs
from trireme_inference.device_errors import run_error

DTYPES = {
    "BOOL": torch.bool,
    "UINT8": torch.uint8,
    "UINT16": torch.uint16,
    "UINT32": torch.uint32,
    "UINT64": torch.uint64,
    "INT8": torch.int8,
    "INT16": torch.int16,
    "INT32": torch.int32,
    "INT64": torch.int64,
    "FP16": torch.float16,
    "FP32": torch.float32,
    "FP64": torch.float64,
    "BF16": torch.bfloat16,
}
_FLOATS = {"FP16", "FP32", "FP64", "BF16"}
_PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_COMPILERS = {"cpu": ("g++", "clang++"), "cuda": ("cc", "gcc", "clang")}

Module = Callable[..., Any]


class TorchBackend:
    """One model; several threads may run it at once, on a GPU each in a stream of its own."""

    def __init__(
        self,
        module: Module,
        platform: str,
        options: OpenOptions,
    ) -> None:
        self.platform = platform
        self.device = options.device
        self.inputs = options.inputs
        self.outputs = options.outputs
        self._module = module
        self._device = torch.device(options.device)
        self._precision = _PRECISIONS.get(options.torch_precision)
        self._streams = threading.local()
        self._gpu = CudaDevice(self._device) if self._device.type == "cuda" else None
        self._graphs = _graphs(self._call, options, self._gpu)

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        try:
            with torch.inference_mode():
                host = [self._host(info, feed[info.name]) for info in self.inputs]
                began = time.monotonic()
                # On a GPU the copies there and back are part of it: they run in its stream.
                answers = self._call(host) if self._gpu is None else self._on_gpu(host, self._gpu)
                run_clock.tell(began, time.monotonic())
        except torch.OutOfMemoryError as error:
            raise RunError("the device has too little memory left for this batch") from error
        except Exception as error:  # a model may raise anything, and torch's own errors share no base
            raise run_error(error, "the model failed on this input") from error
        by_name = {
            info.name: _to_array(info, answer) for info, answer in zip(self.outputs, answers, strict=True)
        }
        return [by_name[name] for name in fetch]

    def close(self) -> None:
        del self._module, self._graphs, self._gpu
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _host(self, info: TensorInfo, array: Array) -> Tensor:
        """A copy that torch may own: arrays of requests are read-only, and a GPU copies from pinned memory
        without making the thread wait."""
        staged = torch.empty(array.shape, dtype=DTYPES[info.datatype], pin_memory=self._device.type == "cuda")
        target = staged.view(torch.uint16) if info.datatype == "BF16" else staged
        np.copyto(target.numpy(), array)
        return staged

    def _on_gpu(self, host: Sequence[Tensor], gpu: CudaDevice) -> Sequence[Tensor]:
        stream = getattr(self._streams, "own", None)
        if stream is None:
            stream = self._streams.own = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.device(self._device), torch.cuda.stream(stream):
            by_graph = self._graphs.run(host) if self._graphs is not None else None
            return by_graph if by_graph is not None else gpu.download(self._call(gpu.upload(host)))

    def _call(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Outputs in order. Raises ValueError where they are not those that are declared."""
        cast: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if self._precision is not None:
            # A graph must not refer to weights that were cast outside of it.
            cast = torch.autocast(self._device.type, self._precision, cache_enabled=self._graphs is None)
        with cast:
            answer = self._module(*tensors)
        answers = list(_flat(answer))
        if len(answers) != len(self.outputs):
            raise ValueError(f"{len(answers)} outputs, {len(self.outputs)} are declared")
        return [
            given.to(DTYPES[info.datatype])
            if info.datatype in _FLOATS and given.is_floating_point()
            else given
            for info, given in zip(self.outputs, answers, strict=True)
        ]


def open_model(path: Path, options: OpenOptions) -> TorchBackend:
    """Loads a checked archive. Raises SpecError where torch refuses it or the device."""
    for info in (*options.inputs, *options.outputs):
        if info.datatype not in DTYPES:
            raise SpecError(f"tensor '{info.name}': backend 'torch' has no {info.datatype}")
    device = torch.device(options.device)
    _prepare(device, options)
    try:
        module, platform = _load(path, device, options)
    except Exception as error:  # its loaders raise whatever the file makes them stumble over
        raise SpecError(
            f"{path}: torch refuses the model: {str(error).partition(chr(10))[0][:500]}"
        ) from error
    if options.torch_compile and path.suffix == ".pt2":
        module = torch.compile(module, dynamic=True)
    return TorchBackend(module, platform, options)


def _prepare(device: torch.device, options: OpenOptions) -> None:
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise SpecError(
                f"device {device}: this torch cannot use CUDA; it is the CPU build, or the driver is old"
            )
        # Not `fp32_precision`: torch's own compiler asks for these, which then raise.
        torch.backends.cuda.matmul.allow_tf32 = options.gpu_tf32
        torch.backends.cudnn.allow_tf32 = options.gpu_tf32
        if options.gpu_memory_limit_bytes:
            total = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(
                min(1.0, options.gpu_memory_limit_bytes / total), device
            )
    # On a GPU too: what a model does on the CPU beside it would take every core.
    torch.set_num_threads(options.threads)
    if options.torch_compile and not any(map(shutil.which, _COMPILERS[device.type])):
        raise SpecError(
            f"TRIREME_INFERENCE_TORCH_COMPILE: torch.compile needs a compiler, one of "
            f"{', '.join(_COMPILERS[device.type])}; none is installed here"
        )


def _load(path: Path, device: torch.device, options: OpenOptions) -> tuple[Module, str]:
    if path.suffix == ".pt2":
        # To the CPU too: it may have been exported on a GPU.
        program = move_to_device_pass(torch.export.load(str(path)), str(device))
        module = program.module()
        if options.torch_precision in _PRECISIONS:
            _forget_types(module)
        return module, "pytorch_export"
    with warnings.catch_warnings():
        # TorchScript is deprecated as a format to write; there are models in it that must be served.
        warnings.filterwarnings("ignore", message=".*torch.jit.load", category=DeprecationWarning)
        script = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    return script.eval(), "pytorch_libtorch"


def _forget_types(module: torch.nn.Module) -> None:
    """Removes the checks that come with every `.to(dtype)` of an exported program: that what it converts is
    still of the type that it had at the export, which autocast changes."""
    check = torch.ops.aten._assert_tensor_metadata.default
    for part in module.modules():
        if isinstance(part, GraphModule):
            for node in part.graph.find_nodes(op="call_function", target=check):
                part.graph.erase_node(node)
            part.recompile()


def _graphs(
    call: Callable[[Sequence[Tensor]], Sequence[Tensor]], options: OpenOptions, gpu: CudaDevice | None
) -> CudaGraphs | None:
    if not options.torch_cuda_graphs or gpu is None:
        return None
    rows_first = all(info.shape[:1] == (-1,) for info in (*options.inputs, *options.outputs))
    return CudaGraphs(call, gpu, pad=options.batches and rows_first)


def _flat(answer: Any) -> Iterable[Tensor]:
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, dict):
        for value in answer.values():
            yield from _flat(value)
    elif isinstance(answer, (list, tuple)):
        for value in answer:
            yield from _flat(value)
    else:
        raise TypeError(f"an output of type {type(answer).__name__}")


def _to_array(info: TensorInfo, answer: Tensor) -> Array:
    if answer.dtype != DTYPES[info.datatype]:
        raise RunError(
            f"output '{info.name}': the model gives {str(answer.dtype).removeprefix('torch.')}, "
            f"model.yaml says {info.datatype}"
        )
    answer = answer.contiguous()
    array: Array = (answer.view(torch.uint16) if info.datatype == "BF16" else answer).numpy()
    return array
