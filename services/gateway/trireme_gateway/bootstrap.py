"""Composition root of the gateway: what is made of what, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from trireme_common.errors import SettingsError
from trireme_common.stage_stream import cancel_and_wait
from trireme_common.tracing import NO_TRACER, Tracer
from trireme_gateway.answer_cache import AnswerCache
from trireme_gateway.cache.cache import ResultCache, SharedStore
from trireme_gateway.cache.entry import Sealer
from trireme_gateway.cache.memory import MemoryCache
from trireme_gateway.cache.metrics import PrometheusCacheEvents
from trireme_gateway.cache.redis_client import redis_client
from trireme_gateway.cache.redis_store import RedisStore
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS, Catalog
from trireme_gateway.draining import Draining
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.stage_client import StageClient, UpstreamPolicy
from trireme_gateway.metrics import PrometheusHopObserver, PrometheusObserver
from trireme_gateway.orders import OrderDesk
from trireme_gateway.orders_redis import OrderKeeper, RedisOrders
from trireme_gateway.pipeline import Pipeline
from trireme_gateway.repository import Repository
from trireme_gateway.services import Services
from trireme_gateway.settings import GatewaySettings

_METHODS = {
    PREPROCESS: "/trireme.v1.PreprocessService/Process",
    INFERENCE: "/trireme.v1.InferenceService/Infer",
    POSTPROCESS: "/trireme.v1.PostprocessService/Process",
}
_MAX_MESSAGE_ITEMS = 64
# Messages of one model that may be under way to an endpoint before others gather. Inference takes
# more, because several instances work side by side and the batcher there sees only what was sent.
_MESSAGES_IN_FLIGHT = {PREPROCESS: 1, INFERENCE: 2, POSTPROCESS: 1}

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check_exposure(settings: GatewaySettings) -> None:
    """Raises SettingsError where strangers could reach the gateway and nobody said that they may."""
    if (
        settings.host not in LOOPBACK
        and not settings.host.startswith("127.")
        and not settings.allow_anonymous
    ):
        raise SettingsError(
            f"refusing to listen on {settings.host} without authentication: set "
            "TRIREME_GATEWAY_HOST=127.0.0.1, or say TRIREME_GATEWAY_ALLOW_ANONYMOUS=true if anyone who "
            "can reach it may use it"
        )


@asynccontextmanager
async def open_services(
    settings: GatewaySettings, draining: Draining, tracer: Tracer = NO_TRACER
) -> AsyncIterator[Services]:
    """The gateway's use cases, connected to the stages for as long as the context is open."""
    catalog = Catalog()
    clients: dict[str, StageClient] = {}
    desk = OrderDesk(lambda: {stage: client.replicas() for stage, client in clients.items()})

    def rebuild() -> None:
        catalog.rebuild(desk.look(), desk.ledger)

    for stage, method in _METHODS.items():
        clients[stage] = _client(settings, stage, method, rebuild)
    cache = _cache(settings)
    pipeline = Pipeline(
        clients[PREPROCESS], clients[INFERENCE], clients[POSTPROCESS], cache, PrometheusObserver()
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(cache.close)
        await _keep_orders(settings, desk, rebuild, stack)
        for client in clients.values():
            client.start()
            stack.push_async_callback(client.close)
        yield Services(settings, catalog, pipeline, draining, tracer, Repository(catalog, desk, rebuild))


async def _keep_orders(
    settings: GatewaySettings, desk: OrderDesk, rebuild: Callable[[], None], stack: AsyncExitStack
) -> None:
    """Orders are kept in Redis where there is one and a secret to seal them with."""
    if settings.redis_url is None or not settings.redis_url.get_secret_value() or not settings.cache_secret:
        return
    secret = settings.cache_secret.get_secret_value().encode()
    orders = RedisOrders(redis_client(settings.redis_url.get_secret_value()), secret)
    stack.push_async_callback(orders.close)
    keeper = OrderKeeper(orders, desk, rebuild)
    await keeper.exchange()
    stack.push_async_callback(cancel_and_wait, asyncio.create_task(keeper.run()))


def _cache(settings: GatewaySettings) -> AnswerCache:
    events = PrometheusCacheEvents()
    shared = None
    if settings.redis_url is not None and settings.redis_url.get_secret_value():
        secret = (
            settings.cache_secret.get_secret_value().encode() if settings.cache_secret else os.urandom(32)
        )
        try:
            store = RedisStore(redis_client(settings.redis_url.get_secret_value()), events)
            shared = SharedStore(store, Sealer(secret, events))
        except ValueError as error:
            raise SettingsError(f"TRIREME_GATEWAY_REDIS_URL or _CACHE_SECRET: {error}") from error
    return AnswerCache(ResultCache(MemoryCache(settings.cache_memory_bytes), shared, events))


def _client(settings: GatewaySettings, stage: str, method: str, rebuild: Callable[[], None]) -> StageClient:
    addresses = [part.strip() for part in getattr(settings, f"{stage}_addresses").split(",") if part.strip()]
    for address in addresses:
        if not address.rpartition(":")[2].isdigit():
            raise SettingsError(f"TRIREME_GATEWAY_{stage.upper()}_ADDRESSES: '{address}' is not host:port")
    if not addresses:
        raise SettingsError(f"TRIREME_GATEWAY_{stage.upper()}_ADDRESSES names no endpoint")

    def pending() -> Pending:
        return Pending(
            max_in_flight=_MESSAGES_IN_FLIGHT[stage], max_items=_MAX_MESSAGE_ITEMS, coalesce=settings.coalesce
        )

    policy = UpstreamPolicy(
        resolve_seconds=settings.resolve_seconds,
        hedge_fraction=settings.hedge_fraction,
        retry_fraction=settings.retry_fraction,
        outlier=OutlierPolicy(silence_seconds=settings.silence_seconds),
    )
    return StageClient(
        stage,
        method,
        addresses,
        pending=pending,
        on_change=rebuild,
        policy=policy,
        observer=PrometheusHopObserver(stage),
    )
