"""The port behind which a runtime executes a model: ONNX Runtime now, others one file each.

A new backend is a module with an `Opener` and one line in the table of `bootstrap.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trireme_common.stage_state import TensorInfo
from trireme_common.tensors import Array


class RunError(Exception):
    """A run failed; `detail` is fit for the caller and holds nothing of the input."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class DeviceError(RunError):
    """The device failed the run; what the process has open there may be of no more use."""


class Backend(Protocol):
    """One loaded model. `run` is called from several threads at once."""

    @property
    def inputs(self) -> tuple[TensorInfo, ...]:
        """What the model file takes; -1 where a dimension is free."""

    @property
    def outputs(self) -> tuple[TensorInfo, ...]: ...

    @property
    def platform(self) -> str:
        """Triton's name of the kind of model, e.g. `onnxruntime_onnx`."""

    @property
    def device(self) -> str:
        """`cpu` or `cuda:N`."""

    def run(self, feed: Mapping[str, Array], fetch: tuple[str, ...]) -> list[Array]:
        """Runs the model once. BYTES tensors are object arrays of bytes, both ways.

        Returns the outputs named by `fetch`, in its order. Raises RunError.
        """

    def close(self) -> None:
        """Frees the model; no run may follow."""


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How a model is to be opened. `device` is resolved: `cpu` or `cuda:N`, never `auto`."""

    device: str = "cpu"
    threads: int = 1
    """CPU threads of one run."""
    gpu_memory_limit_bytes: int = 0
    cpu_arena: bool = True
    model_file: str = ""
    """Name of the model file in the version's directory; empty for the backend's own."""
    inputs: tuple[TensorInfo, ...] = ()
    """What the spec declares, for model files that do not describe their tensors themselves."""
    outputs: tuple[TensorInfo, ...] = ()
    batches: bool = False
    """Requests may share a run, as rows of the first dimension of every tensor."""
    gpu_tf32: bool = False
    """Lets a GPU round the factors of FP32 products to TF32."""
    tensorrt: str = "off"
    """`off`, `fp32` or `fp16`: on a GPU, TensorRT runs what it can of an ONNX model."""
    tensorrt_cache_dir: str = ""
    torch_precision: str = "as_exported"
    """`as_exported`, `bfloat16` or `float16`."""
    torch_compile: bool = False
    torch_cuda_graphs: bool = False

    def __post_init__(self) -> None:
        # Options travel to worker processes as JSON, where tensors arrive as maps.
        for name in ("inputs", "outputs"):
            infos = tuple(TensorInfo(**i) if isinstance(i, Mapping) else i for i in getattr(self, name))
            object.__setattr__(self, name, infos)


Opener = Callable[[Path, OpenOptions], Backend]
"""Opens the model in a version's directory. Raises SpecError where it cannot be served."""
