"""Composition root of the gateway: what is made of what, opened in order and closed in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from trireme_common.errors import SettingsError
from trireme_common.stage_stream import cancel_and_wait
from trireme_gateway.cache.open_redis import KeyClient
from trireme_gateway.catalog import INFERENCE, POSTPROCESS, PREPROCESS, Catalog
from trireme_gateway.draining import Draining
from trireme_gateway.extensions.bootstrap import Extensions
from trireme_gateway.foreign_models import versions_in
from trireme_gateway.holding.bootstrap import build_holding
from trireme_gateway.holding.holding import Holding
from trireme_gateway.hop.endpoint import Connect
from trireme_gateway.hop.oip.ports import Wanted
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.stage_client import StageClient, UpstreamPolicy
from trireme_gateway.hop.stream import by_stream
from trireme_gateway.listening import is_exposed
from trireme_gateway.metrics import PrometheusHopObserver, PrometheusObserver
from trireme_gateway.model_overrides import OverrideFiles
from trireme_gateway.open_cache import open_cache, redis_access
from trireme_gateway.orders import OrderDesk
from trireme_gateway.orders_redis import OrderKeeper, RedisOrders
from trireme_gateway.pipeline import Pipeline
from trireme_gateway.repository import Repository
from trireme_gateway.scaling.bootstrap import build_sampler
from trireme_gateway.scaling.pools import pool_addresses
from trireme_gateway.services import Services
from trireme_gateway.settings import GatewaySettings
from trireme_gateway.statistics.cache_counts import ModelCacheCounts, cache_totals
from trireme_gateway.statistics.endpoint import ask_endpoint
from trireme_gateway.statistics.summary import Statistics

_METHODS = {
    PREPROCESS: "/trireme.v1.PreprocessService/Process",
    INFERENCE: "/trireme.v1.InferenceService/Infer",
    POSTPROCESS: "/trireme.v1.PostprocessService/Process",
}
_MAX_MESSAGE_ITEMS = 64
# Messages of one model that may be under way to an endpoint before others gather: one that is worked on, and
# one that is there when it is done.
_MESSAGES_IN_FLIGHT = 2


@dataclass(frozen=True)
class _Stages:
    """The ways to the stages, and what the gateway does when one of them says something new."""

    clients: Mapping[str, StageClient]
    desk: OrderDesk
    rebuild: Callable[[], None]


def _stages(settings: GatewaySettings, catalog: Catalog, holding: Holding) -> _Stages:
    clients: dict[str, StageClient] = {}
    desk = OrderDesk(lambda: {stage: client.replicas() for stage, client in clients.items()})

    def rebuild() -> None:
        catalog.rebuild(desk.look(), desk.ledger)
        # One that sees not all stages must not overrule a gateway that does.
        desk.tell_lacking(catalog.lacking if catalog.listed else None)
        holding.look()

    def wanted() -> dict[str, dict[str, int]]:
        return versions_in(clients[PREPROCESS].states())

    for stage, method in _METHODS.items():
        clients[stage] = _client(settings, stage, method, rebuild, wanted, lambda: bool(holding.queue))
    return _Stages(clients, desk, rebuild)


@asynccontextmanager
async def open_services(
    settings: GatewaySettings, draining: Draining, extensions: Extensions
) -> AsyncIterator[Services]:
    """The gateway's use cases, connected to the stages for as long as the context is open."""
    catalog = Catalog(inference_sleeps=settings.hold_max_requests > 0)
    holding = build_holding(settings, catalog.asleep)
    stages = _stages(settings, catalog, holding)
    inference = stages.clients[INFERENCE]
    cache = open_cache(settings, ModelCacheCounts())
    pipeline = Pipeline(
        stages.clients[PREPROCESS],
        inference,
        stages.clients[POSTPROCESS],
        cache,
        PrometheusObserver(),
        coalesce=settings.coalesce,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(cache.close)
        await _keep_orders(settings, stages, stack)
        for client in stages.clients.values():
            client.start()
            stack.push_async_callback(client.close)
        sampler = build_sampler(settings, inference, holding.queue, catalog)
        stack.push_async_callback(cancel_and_wait, asyncio.create_task(sampler.run()))
        repository = Repository(
            catalog, stages.desk, stages.rebuild, OverrideFiles(_overridden_dir(settings))
        )
        statistics = _statistics(catalog, inference)
        tracer = extensions.tracer
        yield Services(
            settings, catalog, pipeline, draining, tracer, repository, statistics, extensions, holding
        )


def _overridden_dir(settings: GatewaySettings) -> Path | None:
    """A foreign server reads another repository, so what a load request brings along would not reach it."""
    ours = settings.inference_protocol == "trireme"
    allowed = settings.model_overrides
    if allowed is None:
        allowed = not is_exposed(settings)
    return settings.models_dir if allowed and ours else None


def _statistics(catalog: Catalog, inference: StageClient) -> Statistics:
    def addresses() -> list[str]:
        return [endpoint.address for endpoint in inference.replicas()]

    return Statistics(catalog, addresses, ask_endpoint, cache_totals)


async def _keep_orders(settings: GatewaySettings, stages: _Stages, stack: AsyncExitStack) -> None:
    """Orders are kept in Redis where there is one and a secret to seal them with."""
    access = redis_access(settings)
    if access is None or not settings.cache_secret:
        return
    orders = RedisOrders(KeyClient(access), settings.cache_secret.get_secret_value().encode())
    keeper = OrderKeeper(orders, stages.desk, stages.rebuild)
    await keeper.exchange()
    stack.push_async_callback(cancel_and_wait, asyncio.create_task(keeper.run()))


def _addresses(stage: str, given: str) -> list[str]:
    """`host:port` of each endpoint, without its pool. Raises SettingsError."""
    variable = f"TRIREME_GATEWAY_{stage.upper()}_ADDRESSES"
    try:
        addresses = [address for _, address in pool_addresses(given)]
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from error
    for address in addresses:
        if not address.rpartition(":")[2].isdigit():
            raise SettingsError(f"{variable}: '{address}' is not host:port")
    if not addresses:
        raise SettingsError(f"{variable} names no endpoint")
    return addresses


def _client(
    settings: GatewaySettings,
    stage: str,
    method: str,
    rebuild: Callable[[], None],
    wanted: Wanted,
    urgent: Callable[[], bool],
) -> StageClient:
    addresses = _addresses(stage, getattr(settings, f"{stage}_addresses"))

    def pending() -> Pending:
        return Pending(
            max_in_flight=_MESSAGES_IN_FLIGHT, max_items=_MAX_MESSAGE_ITEMS, coalesce=settings.coalesce
        )

    policy = UpstreamPolicy(
        resolve_seconds=settings.resolve_seconds,
        hedge_fraction=settings.hedge_fraction,
        retry_fraction=settings.retry_fraction,
        outlier=OutlierPolicy(silence_seconds=settings.silence_seconds),
    )
    observer = PrometheusHopObserver(stage)
    connect: Connect = by_stream(stage, method, pending, observer)
    foreign = stage == INFERENCE and settings.inference_protocol == "oip"
    if foreign:
        # Here, because only a gateway of a foreign server loads what speaks to one.
        from trireme_gateway.hop.oip.connection import by_calls

        connect = by_calls(stage, wanted, observer)
    return StageClient(
        stage,
        connect,
        addresses,
        on_change=rebuild,
        policy=policy,
        observer=observer,
        urgent=urgent,
        by_request=foreign,
    )
