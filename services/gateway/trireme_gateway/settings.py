"""Settings of the gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode, SettingsConfigDict

from trireme_common.settings import ServiceSettings


def _from_json(given: Any) -> Any:
    """Here and not in pydantic-settings, whose error does not say which variable it is about."""
    return json.loads(given) if isinstance(given, str) else given


SecondsByModel = Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(_from_json), NoDecode]


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
    """Endpoints of inference. `pool=host:port` says which pool they are; without it a name
    `...-inference-<pool>` does, and everything else is the pool `default` (docs/scaling.md)."""
    inference_protocol: Literal["trireme", "oip"] = "trireme"
    """How inference is reached: `trireme` by our own streams; `oip` by plain ModelInfer calls of the Open
    Inference Protocol, so that another server (Triton, for one) stands at INFERENCE_ADDRESSES
    (docs/foreign-inference.md)."""
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
    """URL of the result cache's second level: `redis://[user:password@]host:port/db`, `unix://path`,
    `redis+sentinel://host:port,host:port/service`, `redis+cluster://host:port,host:port`; `rediss` in place
    of `redis` is TLS (docs/cache.md). Unset keeps the first level alone."""
    redis_tls_ca_file: Path | None = None
    """Certificates, in PEM, of the authorities trusted for a `rediss` URL; unset trusts the system's."""
    redis_tls_certificate_file: Path | None = None
    """Certificate, in PEM, that the gateway shows to a Redis that asks for one."""
    redis_tls_key_file: Path | None = None
    """Key of that certificate, in PEM; unset where it stands in the same file."""
    cache_memory_bytes: int = Field(64 * 1024 * 1024, ge=0)
    """Bytes of results each worker keeps in its own memory; 0 keeps none."""
    cache_secret: SecretStr | None = None
    """Secret of 16 characters or more that seals what is written to Redis; gateways that share a Redis
    must share it. Unset draws a fresh one, so that only the workers of one gateway share entries."""
    cache_flight_seconds: float = Field(0.0, ge=0, le=300)
    """How long a gateway waits for an answer that another gateway is computing, at most; for half of the
    request's time at most besides. Needs a Redis. 0 lets each gateway compute what it misses."""
    cache_stale_seconds: float = Field(0.0, ge=0)
    """How long after its time to live an answer is still given out at once while a new one is computed."""
    cache_stale_seconds_by_model: SecondsByModel = Field({})
    """The same for some models: a JSON object of names and seconds, `{"sentiment-zh": 60}`."""
    cache_max_stale_seconds: float = Field(60.0, ge=0)
    """What a request may ask for by `cache-control: max-stale`, at most; answers are kept for that long after
    their time to live."""
    allow_anonymous: bool = False
    """Says in plain words that anyone who reaches the gateway may use it; needed for an address
    other than loopback."""
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024)
    """Largest request body; larger ones get 413."""
    request_timeout_seconds: float = Field(30.0, gt=0)
    """Time a request has where the caller names none, and the most it may ask for."""
    hold_max_requests: int = Field(0, ge=0)
    """Most requests that the gateway holds for models whose inference pool has no endpoint that is ready,
    shared out among its workers; more get 503. With it the gateway is ready without inference. 0 holds
    none."""
    hold_max_seconds: float = Field(30.0, ge=0)
    """Longest time that one is held; its own time ends it sooner."""
    hold_max_bytes: int = Field(64 * 1024 * 1024, ge=0)
    """Most bytes that held requests may have together, in each worker."""
    peer_addresses: str = ""
    """Metrics ports of all gateways, `host:port` separated by commas; a name may resolve to many. `/scaling`
    on the metrics port answers the sum over them (docs/scaling.md). Unset answers for this gateway alone."""
    scaling_window_seconds: float = Field(15.0, gt=0, le=600)
    """Seconds that the figures at `/scaling` look back: no fewer than an autoscaler lets pass between two
    looks."""
    cors_origins: str = ""
    """Origins that browsers may call from, separated by commas; `*` is any; empty allows none."""
    default_text_model: str | None = None
    """Model that answers /predict with texts where the request names none."""
    default_image_model: str | None = None
    """Model that answers /predict with a file where the request names none."""
    default_tabular_model: str | None = None
    """Model that answers /predict with data where the request names none."""
    models_dir: Path | None = Field(None, validation_alias="TRIREME_MODELS_DIR")
    """The model repository that the stages read, where the gateway sees it: see MODEL_OVERRIDES."""
    model_overrides: bool | None = None
    """Whether load requests may bring a configuration and files along, where the gateway sees the model
    repository (TRIREME_MODELS_DIR) and may write it. Unset allows it on a loopback address alone."""
    shared_memory: bool = False
    """Whether callers may register system shared memory (/dev/shm) for their tensors. Who may call the
    gateway can then read and write every memory object that its user can."""
    coalesce: bool = True
    """Whether requests that wait for the same model share messages; off sends one item a message."""
    drain_seconds: float = Field(1.0, ge=0)
    """After SIGTERM: how long requests are still accepted, with `connection: close`, while load
    balancers turn away."""
    grace_seconds: float = Field(30.0, ge=0)
    """After the drain: how long requests under way may take to finish."""
