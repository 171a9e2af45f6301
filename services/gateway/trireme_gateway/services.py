"""What every route needs, and how a route gets at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from trireme_common.tracing import NO_TRACER, Tracer
from trireme_gateway.catalog import Asleep, Catalog, Route
from trireme_gateway.context import RequestContext
from trireme_gateway.draining import Draining
from trireme_gateway.extensions.bootstrap import Extensions
from trireme_gateway.holding.holding import Holding
from trireme_gateway.pipeline import Pipeline
from trireme_gateway.repository import Repository
from trireme_gateway.settings import GatewaySettings
from trireme_gateway.statistics.summary import Statistics
from trireme_gateway.v2.shared_memory import SharedMemory


@dataclass(frozen=True, slots=True)
class Services:
    """The gateway's use cases and settings, made once by `bootstrap`."""

    settings: GatewaySettings
    catalog: Catalog
    pipeline: Pipeline
    draining: Draining
    tracer: Tracer = NO_TRACER
    repository: Repository = field(default_factory=Repository)
    statistics: Statistics = field(default_factory=Statistics)
    extensions: Extensions = field(default_factory=Extensions)
    holding: Holding = field(default_factory=Holding)

    @property
    def shared_memory(self) -> SharedMemory:
        """Where requests may have their tensors."""
        return self.extensions.regions

    async def awake(
        self, asleep: Asleep, name: str, version: str | None, context: RequestContext, size: int
    ) -> Route:
        """The route of a model that is asleep, once it is not; raises as `Holding.route`."""
        return await self.holding.route(asleep, lambda: self.catalog.resolve(name, version), context, size)

    @property
    def ready(self) -> bool:
        """Whether requests can be answered here, now and in the near future."""
        # Nobody would ask for inference that has gone to zero if its gateway were not ready to hold requests.
        awake = self.catalog.ready or (self.holding.enabled and self.catalog.rousable)
        return awake and not self.draining()


# Coroutines, because FastAPI runs a plain function in a thread, which costs a request more than all hops.
async def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def get_context(request: Request) -> RequestContext:
    context: RequestContext = request.scope["trireme.context"]
    return context


ServicesDep = Annotated[Services, Depends(get_services)]
ContextDep = Annotated[RequestContext, Depends(get_context)]
