"""What all settings classes share."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from trireme_common.errors import SettingsError

S = TypeVar("S", bound=BaseSettings)


class ServiceSettings(BaseSettings):
    """Settings of every service; a subclass adds its own and sets the prefix of their names."""

    # Built when it is first used: of those that others are made from, none is.
    model_config = SettingsConfigDict(frozen=True, extra="ignore", defer_build=True)

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


class ModelsSettings(ServiceSettings):
    """Where the model repository lies, and where it comes from (docs/model-repositories.md)."""

    models_dir: Path = Field(Path("models"), validation_alias="TRIREME_MODELS_DIR")
    """The model repository; every service reads its own part of it."""
    models_source: str | None = Field(None, validation_alias="TRIREME_MODELS_SOURCE")
    """URL that the repository is mirrored from: `s3://`, `gs://`, `az://`, `https://`, `oci://` or
    `file://`. The directory of `TRIREME_MODELS_DIR` is its cache then. Unset mirrors nothing."""
    models_source_models: str = Field("", validation_alias="TRIREME_MODELS_SOURCE_MODELS")
    """Names of the models to mirror, with commas between; unset mirrors all."""
    models_source_poll_seconds: float = Field(
        60.0, gt=0, validation_alias="TRIREME_MODELS_SOURCE_POLL_SECONDS"
    )
    """How often the source is listed."""
    models_source_spare_versions: int = Field(
        1, ge=0, validation_alias="TRIREME_MODELS_SOURCE_SPARE_VERSIONS"
    )
    """How many versions beyond those that model.yaml wants are mirrored, to fall back on if the newest one is
    bad."""
    models_source_concurrency: int = Field(
        4, ge=1, le=64, validation_alias="TRIREME_MODELS_SOURCE_CONCURRENCY"
    )
    """How many files are downloaded at a time."""
    models_source_timeout_seconds: float = Field(
        30.0, gt=0, validation_alias="TRIREME_MODELS_SOURCE_TIMEOUT_SECONDS"
    )
    """How long to wait for a connection, and for each read."""
    models_source_allow_http: bool = Field(False, validation_alias="TRIREME_MODELS_SOURCE_ALLOW_HTTP")
    """Allows a source that is not encrypted: `http://`, `oci+http://`, an object store behind such an
    endpoint."""
    models_source_username: str = Field("", validation_alias="TRIREME_MODELS_SOURCE_USERNAME")
    """User at an `https://` or `oci://` source."""
    models_source_password: SecretStr | None = Field(None, validation_alias="TRIREME_MODELS_SOURCE_PASSWORD")
    """Password at such a source; without a user it is sent as a bearer token."""
    models_cache_bytes: int = Field(0, ge=0, validation_alias="TRIREME_MODELS_CACHE_BYTES")
    """Bytes that mirrored models may take; 0 is no bound. Versions in use are never dropped for it."""
    state_dir: Path | None = Field(None, validation_alias="TRIREME_STATE_DIR")
    """Directory that keeps what operators ordered (a version put back, a model unloaded) through restarts;
    unset keeps it in the model repository itself, where that can be written."""


class StageSettings(ModelsSettings):
    """Settings of the three stages behind the gateway."""

    models_poll_seconds: float = Field(2.0, gt=0, validation_alias="TRIREME_MODELS_POLL_SECONDS")
    """How often the repository is looked at for new, changed and removed versions."""
    host: str = "127.0.0.1"
    """Address the gRPC server binds."""
    port: int = Field(0, ge=0, le=65535)
    """Port of the gRPC server; 0 takes a free one."""
    metrics_port: int | None = Field(None, ge=0, le=65535)
    """Port of /metrics for Prometheus, on the same host; unset serves none."""
    required_models: str = ""
    """Names of models, with commas between, without which the service is not ready: its health (`readiness`)
    says NOT_SERVING until a version of each is READY. Unset waits for the first look at the repository
    alone."""
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
