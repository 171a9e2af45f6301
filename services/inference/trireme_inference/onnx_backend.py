"""ONNX Runtime behind the backend port, on the CPU, on CUDA, or on TensorRT with CUDA for the rest."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from trireme_common.errors import SpecError
from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array
from trireme_inference import run_clock
from trireme_inference.backend import OpenOptions, RunError
from trireme_inference.device_errors import run_error
from trireme_inference.devices import free_gpu_bytes, require_room
from trireme_inference.onnx_bfloat16 import run_with_bfloat16
from trireme_inference.onnx_scan import check_external_data
from trireme_inference.pinned_memory import PinnedMemory
from trireme_inference.runtimes import installed

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"
_FATAL = 4

_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
}
_NODE = re.compile(r"while running (\w{1,64}) node")


class OnnxBackend:
    """One session; ONNX Runtime lets several threads run it at once."""

    platform = "onnxruntime_onnx"

    def __init__(self, session: onnxruntime.InferenceSession, device: str) -> None:
        self.device = device
        self._session = session
        self.inputs = tuple(_info(node) for node in session.get_inputs())
        self.outputs = tuple(_info(node) for node in session.get_outputs())
        self._texts = frozenset(info.name for info in self.inputs if info.datatype == "BYTES")
        tensors = (*self.inputs, *self.outputs)
        self._bfloat16 = frozenset(info.name for info in tensors if info.datatype == "BF16")
        # ONNX Runtime's bindings refuse strings that go in, and those that come out end the process.
        bindable = device != "cpu" and all(info.datatype != "BYTES" for info in tensors)
        self._staging = PinnedMemory(device) if bindable else None

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        if self._texts:
            feed = {
                name: _to_text(name, array) if name in self._texts else array for name, array in feed.items()
            }
        outputs: Sequence[Array]
        try:
            if self._bfloat16:
                outputs = run_with_bfloat16(self._session, feed, fetch, self._bfloat16)
            elif self._staging is None:
                began = time.monotonic()
                outputs = self._session.run(fetch, feed)
                run_clock.tell(began, time.monotonic())
            else:
                outputs = self._run_bound(feed, fetch, self._staging)
        except Exception as error:  # onnxruntime's exceptions share no base of their own
            raise run_error(error, _explain(error)) from error
        return [
            _from_text(output) if output.dtype == np.object_ else output
            for output in map(np.asarray, outputs)
        ]

    def _run_bound(
        self, feed: Mapping[str, Array], fetch: tuple[str, ...], staging: PinnedMemory
    ) -> Sequence[Array]:
        """On a GPU: inputs come from pinned memory, which it reads without a copy in between."""
        binding = self._session.io_binding()
        for name, array in feed.items():
            binding.bind_cpu_input(name, staging.copy(name, array))
        for name in fetch:
            binding.bind_output(name)
        began = time.monotonic()
        self._session.run_with_iobinding(binding)  # the copy to the device is part of it
        run_clock.tell(began, time.monotonic())
        outputs: Sequence[Array] = binding.copy_outputs_to_cpu()
        return outputs

    def close(self) -> None:
        del self._session


def open_onnx(directory: Path, options: OpenOptions) -> OnnxBackend:
    """Opens `directory`/model.onnx, or the file `options` name, or model.onnx in a folder of that name.

    Raises SpecError where it cannot be served on that device.
    """
    path = directory / (options.model_file or "model.onnx")
    if path.is_dir():  # how Triton keeps a model of several files
        path = path / "model.onnx"
    if not path.is_file():
        raise SpecError(f"{path} is missing; backend 'onnxruntime' serves that file")
    weights = check_external_data(path)
    if options.device != "cpu":
        require_room(weights, free_gpu_bytes(options.device), options.device, options.gpu_memory_limit_bytes)
    providers = _providers(options)
    if options.device != "cpu":
        _load_libraries(options)
    try:
        session = onnxruntime.InferenceSession(
            str(path), _session_options(options), providers=providers, enable_fallback=False
        )
    except Exception as error:  # as above
        raise SpecError(f"{path}: ONNX Runtime refuses the model: {_first_line(error)}") from error
    for provider, _ in providers:
        if provider not in session.get_providers():
            raise SpecError(
                f"device {options.device}: ONNX Runtime could not start {provider}; its libraries are "
                "missing, or too old for the driver"
            )
    backend = OnnxBackend(session, options.device)
    if {"BF16", "BYTES"} <= {info.datatype for info in (*backend.inputs, *backend.outputs)}:
        raise SpecError(f"{path}: ONNX Runtime's Python cannot run a model with both bfloat16 and strings")
    return backend


def _load_libraries(options: OpenOptions) -> None:
    """Loads what ONNX Runtime's providers are linked to from where pip puts it: nothing else says to the
    loader that it lies there, and a library that is loaded is found by its name."""
    onnxruntime.preload_dlls(directory="")
    if options.tensorrt != "off" and installed("tensorrt_libs"):
        importlib.import_module("tensorrt_libs")  # loads them all


def _session_options(options: OpenOptions) -> Any:
    made = onnxruntime.SessionOptions()
    made.intra_op_num_threads = options.threads
    made.inter_op_num_threads = 1
    # The same input gives the same bits, run after run.
    made.use_deterministic_compute = True
    made.enable_cpu_mem_arena = options.cpu_arena
    # A plan is kept for every shape that was ever seen: batches would make it grow for ever.
    made.enable_mem_pattern = False
    # Its messages quote the input; what a caller may know is in the exception.
    made.log_severity_level = _FATAL
    # Waiting threads that spin take the cores of the other processes of the pod.
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    made.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return made


def _providers(options: OpenOptions) -> list[tuple[str, dict[str, str]]]:
    """Those that are to run the model, the first that can do a node does it."""
    if options.device == "cpu":
        return [(_CPU, {})]
    there = onnxruntime.get_available_providers()
    if _CUDA not in there:
        raise SpecError(f"device {options.device}: this onnxruntime is built without CUDA; use the GPU image")
    number = options.device.partition(":")[2]
    cuda = {
        "device_id": number,
        # Twice the memory at every growth would take from the other models what this one never uses.
        "arena_extend_strategy": "kSameAsRequested",
        # The exhaustive search costs seconds for every new shape, and batches have many shapes.
        "cudnn_conv_algo_search": "HEURISTIC",
        # 10 bits of mantissa in place of 23: faster, but not the answers of the CPU.
        "use_tf32": str(int(options.gpu_tf32)),
    }
    if options.gpu_memory_limit_bytes:
        cuda["gpu_mem_limit"] = str(options.gpu_memory_limit_bytes)
    if options.tensorrt == "off":
        return [(_CUDA, cuda), (_CPU, {})]
    if _TENSORRT not in there:
        raise SpecError(
            "TRIREME_INFERENCE_TENSORRT: this onnxruntime has no TensorRT; install onnxruntime-gpu and "
            "TensorRT's libraries (pip install 'trireme-inference[gpu,tensorrt]'), or leave it off"
        )
    return [(_TENSORRT, _tensorrt(options, number)), (_CUDA, cuda), (_CPU, {})]


def _tensorrt(options: OpenOptions, number: str) -> dict[str, str]:
    chosen = {"device_id": number, "trt_fp16_enable": str(options.tensorrt == "fp16")}
    if options.tensorrt_cache_dir:
        chosen |= {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": options.tensorrt_cache_dir,
            "trt_timing_cache_enable": "True",
            "trt_timing_cache_path": options.tensorrt_cache_dir,
        }
    return chosen


def _info(node: Any) -> TensorInfo:
    datatype = _DATATYPES.get(node.type)
    if datatype is None:
        raise SpecError(f"tensor '{node.name}' is of type {node.type}, which this build cannot pass on")
    shape: Sequence[int | str | None] = node.shape
    return TensorInfo(node.name, datatype, tuple(size if isinstance(size, int) else -1 for size in shape))


def _to_text(name: str, array: Array) -> Array:
    try:
        elements = [element.decode() for element in array.ravel().tolist()]
    except UnicodeDecodeError as error:
        raise RunError(f"input '{name}': the model takes UTF-8 text") from error
    text = np.empty(len(elements), dtype=object)
    text[:] = elements
    return text.reshape(array.shape)


def _from_text(array: Array) -> Array:
    elements = np.empty(array.size, dtype=object)
    elements[:] = [
        element.encode() if isinstance(element, str) else element for element in array.ravel().tolist()
    ]
    return elements.reshape(array.shape)


def _explain(error: Exception) -> str:
    """What may be told of a failed run: the kind of node, never the message, which quotes the input."""
    node = _NODE.search(str(error))
    return (
        f"the model failed on this input, in a node {node[1]}" if node else "the model failed on this input"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:500]
