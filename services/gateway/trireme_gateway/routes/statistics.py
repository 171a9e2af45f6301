"""/v2/models/stats: Triton's statistics of the models."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from trireme_gateway.context import RequestContext
from trireme_gateway.presenters import json_response
from trireme_gateway.routes import statistics_openapi as openapi
from trireme_gateway.routes.v2_openapi import ERRORS
from trireme_gateway.services import ContextDep, Services, ServicesDep

router = APIRouter(prefix="/v2/models", tags=["open inference protocol"], responses=ERRORS)


@router.get("/stats", summary="Triton's statistics of all models", responses=openapi.STATISTICS)
async def show_all(services: ServicesDep, context: ContextDep) -> Response:
    """Summed over the inference replicas that are connected now, with what the gateway's cache answered."""
    return await _show(services, context, "", "")


@router.get(
    "/{model}/stats", summary="Triton's statistics of a model's versions", responses=openapi.STATISTICS
)
@router.get(
    "/{model}/versions/{version}/stats",
    summary="Triton's statistics of one version",
    responses=openapi.STATISTICS,
)
async def show_model(model: str, services: ServicesDep, context: ContextDep, version: str = "") -> Response:
    """A model counts what the cache answered too; its bare model `<name>.inference` is inference alone."""
    return await _show(services, context, model, version)


async def _show(services: Services, context: RequestContext, model: str, version: str) -> Response:
    found = await services.statistics.of(model, version, context.deadline)
    return json_response({"model_stats": [one.plain() for one in found]})
