"""Composition of what autoscalers are told, in the process that has the work."""

from __future__ import annotations

from collections.abc import Iterable

from trireme_gateway.catalog import Catalog
from trireme_gateway.holding.queue import HoldQueue
from trireme_gateway.hop.endpoint import Endpoint
from trireme_gateway.hop.stage_client import StageClient
from trireme_gateway.scaling.metrics import show
from trireme_gateway.scaling.pools import PoolModels, pool_addresses
from trireme_gateway.scaling.sampler import Sampler
from trireme_gateway.settings import GatewaySettings


def build_sampler(
    settings: GatewaySettings, inference: StageClient, held: HoldQueue, catalog: Catalog
) -> Sampler:
    """A sampler of the pools that the addresses of inference name."""
    pools = {address: pool for pool, address in pool_addresses(settings.inference_addresses)}

    def endpoints() -> Iterable[tuple[str, Endpoint]]:
        return [(pools[endpoint.name], endpoint) for endpoint in inference.known() if endpoint.name in pools]

    return Sampler(
        PoolModels(list(pools.values())),
        endpoints,
        held,
        lambda: list(catalog.health()),
        show,
        window_seconds=settings.scaling_window_seconds,
    )
