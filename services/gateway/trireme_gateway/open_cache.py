"""The result cache, and access to Redis, as the settings say."""

from __future__ import annotations

import os

from trireme_common.errors import SettingsError
from trireme_gateway.answer_cache import AnswerCache, LookUps, StalePolicy
from trireme_gateway.cache.cache import ResultCache, SharedStore
from trireme_gateway.cache.entry import Sealer
from trireme_gateway.cache.events import CacheEvents
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.cache.metrics import PrometheusCacheEvents
from trireme_gateway.cache.open_redis import open_store
from trireme_gateway.cache.redis_address import parse_redis_url
from trireme_gateway.cache.redis_client import RedisAccess, RedisTls
from trireme_gateway.cache.shared_flight import SharedFlight
from trireme_gateway.settings import GatewaySettings


def open_cache(settings: GatewaySettings, told: LookUps | None = None) -> AnswerCache:
    """Inside a running event loop; the caller closes it. Raises SettingsError as `redis_access` does, and for
    a secret that is too short."""
    events = PrometheusCacheEvents()
    stale = StalePolicy(
        settings.cache_stale_seconds,
        settings.cache_stale_seconds_by_model,
        settings.cache_max_stale_seconds,
        settings.request_timeout_seconds,
    )
    memory = MemoryCache(settings.cache_memory_bytes)
    return AnswerCache(ResultCache(memory, _shared(settings, events), events), stale, told)


def redis_access(settings: GatewaySettings) -> RedisAccess | None:
    """None where no Redis is set. Raises SettingsError for a URL, or files for TLS, that cannot be used."""
    if settings.redis_url is None or not settings.redis_url.get_secret_value():
        return None
    tls = RedisTls(
        settings.redis_tls_ca_file, settings.redis_tls_certificate_file, settings.redis_tls_key_file
    )
    try:
        return RedisAccess(parse_redis_url(settings.redis_url.get_secret_value()), tls)
    except ValueError as error:
        raise SettingsError(f"TRIREME_GATEWAY_REDIS_URL or _REDIS_TLS_*: {error}") from error


def _shared(settings: GatewaySettings, events: CacheEvents) -> SharedStore | None:
    access = redis_access(settings)
    if access is None:
        return None
    given = settings.cache_secret
    try:
        sealer = Sealer(os.urandom(32) if given is None else given.get_secret_value().encode(), events)
    except ValueError as error:
        raise SettingsError(f"TRIREME_GATEWAY_CACHE_SECRET: {error}") from error
    store = open_store(access, events)
    seconds = settings.cache_flight_seconds
    return SharedStore(store, sealer, SharedFlight(store, events, seconds=seconds) if seconds else None)
