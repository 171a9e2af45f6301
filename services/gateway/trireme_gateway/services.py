"""What every route needs, and how a route gets at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from trireme_common.tracing import NO_TRACER, Tracer
from trireme_gateway.catalog import Catalog
from trireme_gateway.context import RequestContext
from trireme_gateway.draining import Draining
from trireme_gateway.pipeline import Pipeline
from trireme_gateway.repository import Repository
from trireme_gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Services:
    """The gateway's use cases and settings, made once by `bootstrap`."""

    settings: GatewaySettings
    catalog: Catalog
    pipeline: Pipeline
    draining: Draining
    tracer: Tracer = NO_TRACER
    repository: Repository = field(default_factory=Repository)

    @property
    def ready(self) -> bool:
        """Whether requests can be answered here, now and in the near future."""
        return self.catalog.ready and not self.draining()


# Coroutines, because FastAPI runs a plain function in a thread, which costs a request more than all hops.
async def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def get_context(request: Request) -> RequestContext:
    context: RequestContext = request.scope["trireme.context"]
    return context


ServicesDep = Annotated[Services, Depends(get_services)]
ContextDep = Annotated[RequestContext, Depends(get_context)]
