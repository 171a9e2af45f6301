"""Settings of the gateway."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from trireme_common.settings import ServiceSettings


class GatewaySettings(ServiceSettings):
    """Environment: TRIREME_GATEWAY_*."""

    model_config = SettingsConfigDict(env_prefix="TRIREME_GATEWAY_")

    host: str = "127.0.0.1"
    """Address that HTTP and gRPC bind. Other than loopback needs ALLOW_ANONYMOUS."""
    http_port: int = Field(8080, ge=0, le=65535)
    """Port of the REST interface; 0 takes a free one."""
    grpc_port: int = Field(8081, ge=0, le=65535)
    """Port of the gRPC front door; 0 takes a free one."""
    metrics_port: int | None = Field(None, ge=0, le=65535)
    """Port that serves /metrics a second time, for Prometheus; unset serves it on the HTTP port alone."""
    workers: int = Field(1, ge=1, le=64)
    """Gateway processes that share the ports."""
    preprocess_addresses: str = "127.0.0.1:50051"
    """Endpoints of preprocess, `host:port` separated by commas; a name may resolve to many."""
    inference_addresses: str = "127.0.0.1:50052"
    """Endpoints of inference."""
    postprocess_addresses: str = "127.0.0.1:50053"
    """Endpoints of postprocess."""
    resolve_seconds: float = Field(5.0, gt=0)
    """How often the addresses are resolved again."""
    hedge_fraction: float = Field(0.05, ge=0, le=1)
    """Most calls of a stage that may be asked of a second endpoint because the first is slow; 0 hedges
    nothing."""
    retry_fraction: float = Field(0.2, ge=0, le=1)
    """Most calls of a stage that may be asked again over 10 s, hedges included; what one endpoint has
    under way may be asked again besides. 0 asks nothing again."""
    silence_seconds: float = Field(0.3, gt=0)
    """An endpoint that has work and says nothing for this long, and for three times the 99th percentile of
    its models' answer times, gets no calls until it speaks."""
    redis_url: SecretStr | None = None
    """`redis://` or `rediss://` URL of the result cache's second level; unset keeps the first level alone."""
    cache_memory_bytes: int = Field(64 * 1024 * 1024, ge=0)
    """Bytes of results each worker keeps in its own memory; 0 keeps none."""
    cache_secret: SecretStr | None = None
    """Secret of 16 characters or more that seals what is written to Redis; gateways that share a Redis
    must share it. Unset draws a fresh one, so that only the workers of one gateway share entries."""
    allow_anonymous: bool = False
    """Says in plain words that anyone who reaches the gateway may use it; needed for an address
    other than loopback."""
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024)
    """Largest request body; larger ones get 413."""
    request_timeout_seconds: float = Field(30.0, gt=0)
    """Time a request has where the caller names none, and the most it may ask for."""
    cors_origins: str = ""
    """Origins that browsers may call from, separated by commas; `*` is any; empty allows none."""
    default_text_model: str | None = None
    """Model that answers /predict with texts where the request names none."""
    default_image_model: str | None = None
    """Model that answers /predict with a file where the request names none."""
    default_tabular_model: str | None = None
    """Model that answers /predict with data where the request names none."""
    coalesce: bool = True
    """Whether requests that wait for the same model share messages; off sends one item a message."""
    drain_seconds: float = Field(1.0, ge=0)
    """After SIGTERM: how long requests are still accepted, with `connection: close`, while load
    balancers turn away."""
    grace_seconds: float = Field(30.0, ge=0)
    """After the drain: how long requests under way may take to finish."""
