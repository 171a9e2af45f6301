"""How Redis is spoken to: the bounds of the work, and a client that fails early."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

DEFAULT_TIMEOUT_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class RedisLimits:
    """Bounds of the store's work: seconds, counts and bytes."""

    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    max_keys: int = 512
    """Keys of one MGET."""
    max_writes: int = 256
    """Values of one pipeline."""
    max_write_bytes: int = 1 << 20
    """Bytes of one pipeline, except that a single larger value goes alone."""
    max_buffered: int = 4096
    max_buffered_bytes: int = 16 << 20
    max_value_bytes: int = 1 << 20
    """A larger value is not written."""


def redis_client(url: str, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> Redis:
    """A client that fails early: no retries, every socket operation within `timeout_seconds`.

    It connects on first use and speaks RESP2, which needs no handshake. Raises ValueError for a URL that is
    not redis://, rediss:// or unix://.
    """
    return Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        driver_info=None,
        decode_responses=False,
    )
