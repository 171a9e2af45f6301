"""What all settings classes share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trireme_common.errors import SettingsError

S = TypeVar("S", bound=BaseSettings)


class ServiceSettings(BaseSettings):
    """Settings of every service; a subclass adds its own and sets the prefix of their names."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias="TRIREME_LOG_LEVEL"
    )
    """Least severe log line that is written."""
    log_format: Literal["json", "console"] = Field("json", validation_alias="TRIREME_LOG_FORMAT")
    """`json` writes one object a line to standard error; `console` is for a person at a terminal."""
    otel_exporter_endpoint: str | None = Field(
        None,
        pattern=r"^(https?://.+)?$",
        validation_alias=AliasChoices("TRIREME_OTEL_EXPORTER_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    )
    """`http://` or `https://` URL of an OpenTelemetry collector's OTLP/gRPC port, usually 4317; unset
    records no traces. Where it is not given, OpenTelemetry's own `OTEL_EXPORTER_OTLP_ENDPOINT` counts."""
    otel_sample_ratio: float = Field(1.0, ge=0, le=1, validation_alias="TRIREME_OTEL_SAMPLE_RATIO")
    """Part of the requests that is traced, of those whose caller sent no `traceparent`; a caller's own
    decision stands. The gateway decides for all services."""


class StageSettings(ServiceSettings):
    """Settings of the three stages behind the gateway."""

    models_dir: Path = Field(Path("models"), validation_alias="TRIREME_MODELS_DIR")
    """The model repository; every service reads its own part of it."""
    models_poll_seconds: float = Field(2.0, gt=0, validation_alias="TRIREME_MODELS_POLL_SECONDS")
    """How often the repository is looked at for new, changed and removed versions."""
    host: str = "127.0.0.1"
    """Address the gRPC server binds."""
    port: int = Field(0, ge=0, le=65535)
    """Port of the gRPC server; 0 takes a free one."""
    metrics_port: int | None = Field(None, ge=0, le=65535)
    """Port of /metrics for Prometheus, on the same host; unset serves none."""
    drain_seconds: float = Field(0.5, ge=0)
    """After SIGTERM: how long gateways have to turn away before the server refuses new calls."""
    grace_seconds: float = Field(20.0, ge=0)
    """After the drain: how long calls under way may take to finish."""


def load_settings(cls: type[S]) -> S:
    """Settings from the environment. Raises SettingsError naming the variable that is wrong."""
    try:
        return cls()
    except ValidationError as error:
        prefix = str(cls.model_config.get("env_prefix", ""))
        problems = []
        for problem in error.errors():
            name = ".".join(map(str, problem["loc"]))
            variable = name if name.startswith(("TRIREME_", "OTEL_")) else f"{prefix}{name}".upper()
            problems.append(f"{variable}: {problem['msg']}")
        raise SettingsError("; ".join(problems)) from error
