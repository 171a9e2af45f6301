"""Settings of the preprocess service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from trireme_common.settings import StageSettings


class PreprocessSettings(StageSettings):
    """Environment: TRIREME_PREPROCESS_*."""

    model_config = SettingsConfigDict(env_prefix="TRIREME_PREPROCESS_")

    port: int = Field(50051, ge=0, le=65535)
    """Port of the gRPC server; 0 takes a free one."""
    threads: int = Field(0, ge=0, le=256)
    """Threads that decode large items; 0 takes the number of CPUs this process may use."""
