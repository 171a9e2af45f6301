"""Health, readiness and metrics."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from trireme_common.stage_state import State
from trireme_gateway.catalog import Catalog
from trireme_gateway.metrics import exposition, inference_totals
from trireme_gateway.presenters import json_response
from trireme_gateway.routes.openapi import ERRORS, METRICS
from trireme_gateway.services import ServicesDep

router = APIRouter(tags=["health"], responses=ERRORS)


@router.get("/health", summary="State of the platform and of every model; always 200")
async def health(services: ServicesDep) -> Response:
    catalog = services.catalog
    requests, average = inference_totals()
    models = {
        name: {"state": model.state.value, "version": model.version, "reason": model.reason}
        for name, model in catalog.health().items()
    }
    return json_response(
        {
            "status": _status(catalog),
            "model_loaded": catalog.ready,
            "stats": {"total_requests": requests, "avg_inference_time": average, "device": catalog.device},
            "models": models,
            "stages": dict(catalog.connected),
        }
    )


def _status(catalog: Catalog) -> str:
    """`loading` until a model was routable, then `healthy`, or `degraded` while something is not right."""
    states = {model.state for model in catalog.health().values() if not model.unloaded}
    if not catalog.ready:
        return "degraded" if catalog.was_ready else "loading"
    return "degraded" if State.UNAVAILABLE in states else "healthy"


@router.get("/livez", summary="200 while the process runs")
async def live() -> Response:
    return json_response({"live": True})


@router.get("/readyz", summary="200 when requests can be answered, else 503")
async def ready(services: ServicesDep) -> Response:
    is_ready = services.ready
    return json_response({"ready": is_ready}, 200 if is_ready else 503)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus, summed over workers",
    responses=METRICS,
    response_class=PlainTextResponse,
)
async def metrics() -> Response:
    return Response(exposition(), media_type=CONTENT_TYPE_LATEST)
