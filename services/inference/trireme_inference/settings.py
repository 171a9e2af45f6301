"""Settings of the inference service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from trireme_common.settings import StageSettings


class InferenceSettings(StageSettings):
    """Settings of the inference service; environment prefix `TRIREME_INFERENCE_`."""

    model_config = SettingsConfigDict(env_prefix="TRIREME_INFERENCE_")

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    """Device of the models whose model.yaml says `auto`: `cpu`, `cuda:N`, or `auto`, which takes the
    first GPU where CUDA is usable and the CPU elsewhere. `cuda` without CUDA stops the service."""
    threads: int = Field(0, ge=0, le=1024)
    """CPU threads that all instances of one model share; 0 takes the container's CPU limit."""
    gpu_memory_limit_bytes: int = Field(0, ge=0)
    """Most GPU memory that one model's arena may take; 0 is no limit."""
    cpu_arena: bool = True
    """Keeps freed CPU memory of a model for its next run; off gives it back after each, at some speed."""
    oip_timeout_seconds: float = Field(60.0, gt=0)
    """Deadline of an Open Inference Protocol call whose client set none."""
    close_grace_seconds: float = Field(30.0, ge=0)
    """How long a model that is unloaded may take to finish its queue before what is left is failed."""
