"""Settings of the postprocess service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from trireme_common.settings import StageSettings


class PostprocessSettings(StageSettings):
    """Environment: TRIREME_POSTPROCESS_*."""

    model_config = SettingsConfigDict(env_prefix="TRIREME_POSTPROCESS_")

    port: int = Field(50053, ge=0, le=65535)
    """Port of the gRPC server; 0 takes a free one."""
    threads: int = Field(0, ge=0, le=256)
    """Threads that work on large items; 0 takes the number of CPUs this process may use."""
