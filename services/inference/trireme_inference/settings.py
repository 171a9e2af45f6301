"""Settings of the inference service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from trireme_common.settings import StageSettings


class InferenceSettings(StageSettings):
    """Settings of the inference service; environment prefix `TRIREME_INFERENCE_`."""

    model_config = SettingsConfigDict(env_prefix="TRIREME_INFERENCE_")

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Device of the models whose model.yaml says `auto`: `cpu`, `cuda:N` for one GPU, `cuda` for all of them
    (the emptiest first), or `auto`, which is `cuda` where CUDA is usable and `cpu` elsewhere. `cuda` and
    `cuda:N` without CUDA stop the service."""
    threads: int = Field(0, ge=0, le=1024)
    """CPU threads that all instances of one model share; 0 takes the container's CPU limit."""
    gpu_memory_limit_bytes: int = Field(0, ge=0)
    """Most GPU memory that one model's arena may take; 0 is no limit."""
    cpu_arena: bool = True
    """Keeps freed CPU memory of a model for its next run; off gives it back after each, at some speed."""
    isolation: Literal["auto", "process", "thread"] = "auto"
    """Where models run whose model.yaml names no `instances.isolation`: in worker processes, which a crash
    does not outlive, or in threads of the service, which cost less. `auto` takes threads for ONNX models
    on the CPU and processes for all others."""
    worker_start_seconds: float = Field(300.0, gt=0)
    """How long a worker process may take to open its model, and for each of the first runs."""
    worker_hang_seconds: float = Field(30.0, gt=0)
    """How long after the deadline of its last caller a run may go on before its worker process counts as
    hung: it is killed, and that is a crash."""
    gpu_tf32: bool = False
    """Lets GPUs round the factors of FP32 products to TF32, 10 bits of mantissa: faster for models that
    compute in FP32, but answers differ from a CPU's by about 1e-3, and golden.json must allow that."""
    tensorrt: Literal["off", "fp32", "fp16"] = "off"
    """Lets TensorRT run what it can of ONNX models on a GPU, in that precision; the rest runs on CUDA. It
    builds an engine for every model at its first load, which takes minutes. No image has its libraries: they
    come with `pip install 'trireme-inference[gpu,tensorrt]'`."""
    tensorrt_cache_dir: Path | None = None
    """Writable directory where TensorRT keeps its engines between starts; unset builds them again."""
    torch_precision: Literal["as_exported", "bfloat16", "float16"] = "as_exported"
    """Runs torch models under autocast in that type. `as_exported` leaves a model as its file has it, so
    one that was exported in bfloat16 runs in it."""
    torch_compile: bool = False
    """Compiles torch.export programs with torch.compile when they load; needs a C compiler here."""
    torch_cuda_graphs: bool = False
    """Replays torch models on a GPU as CUDA graphs, one for each shape, rows padded to powers of two where
    that leaves the answers as they are. What no graph can hold runs without."""
    models_memory_bytes: int = Field(0, ge=0)
    """Memory that all models together may take, GPUs' aside, by the size of their files and what they were
    found to hold; when it is spent, the least recently used one leaves until it is asked for again
    (`memory.pinned` keeps it). 0 takes 80% of the container's memory limit, or of the machine's memory where
    there is none."""
    oip_timeout_seconds: float = Field(60.0, gt=0)
    """Deadline of an Open Inference Protocol call whose client set none."""
    close_grace_seconds: float = Field(30.0, ge=0)
    """How long a model that is unloaded may take to finish its queue before what is left is failed."""
