"""/v2/logging, /v2/trace/setting and /v2/*sharedmemory: Triton's extensions over REST, in its shapes."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from trireme_gateway.body import read_object
from trireme_gateway.presenters import json_response
from trireme_gateway.routes import v2_extensions_openapi as openapi
from trireme_gateway.routes.v2_openapi import ERRORS
from trireme_gateway.services import Services, ServicesDep
from trireme_gateway.v2.inference import resolve

router = APIRouter(prefix="/v2", tags=["triton extensions"], responses=ERRORS)

_EVERY_MODEL = ""


@router.get("/logging", summary="Which log lines this gateway writes", responses=openapi.LOG)
async def show_log_settings(services: ServicesDep) -> Response:
    return json_response(services.extensions.desk.log_settings())


@router.post(
    "/logging",
    summary="Change which log lines this gateway writes",
    responses=openapi.LOG,
    openapi_extra=openapi.LOG_BODY,
)
async def change_log_settings(request: Request, services: ServicesDep) -> Response:
    """Only what is given changes, at all workers of this gateway, until it ends. Answers all settings."""
    given = await read_object(request, services.settings.max_body_bytes)
    return json_response(await services.extensions.desk.change_log_settings(given))


@router.get("/trace/setting", summary="Which requests are traced", responses=openapi.TRACE)
async def show_trace_settings(services: ServicesDep) -> Response:
    return json_response(services.extensions.desk.trace_settings(_EVERY_MODEL))


@router.post(
    "/trace/setting",
    summary="Change which requests are traced",
    responses=openapi.TRACE,
    openapi_extra=openapi.TRACE_BODY,
)
async def change_trace_settings(request: Request, services: ServicesDep) -> Response:
    """For all models that have no settings of their own, at all workers of this gateway, until it ends.
    null puts back what the gateway was started with."""
    return await _change_trace_settings(request, services, _EVERY_MODEL)


@router.get(
    "/models/{model}/trace/setting", summary="Which requests of a model are traced", responses=openapi.TRACE
)
async def show_model_trace_settings(services: ServicesDep, model: str) -> Response:
    name = resolve(services.catalog, model, None).model
    return json_response(services.extensions.desk.trace_settings(name))


@router.post(
    "/models/{model}/trace/setting",
    summary="Change which requests of a model are traced",
    responses=openapi.TRACE,
    openapi_extra=openapi.TRACE_BODY,
)
async def change_model_trace_settings(request: Request, services: ServicesDep, model: str) -> Response:
    """null lets the setting for all models hold again."""
    return await _change_trace_settings(request, services, resolve(services.catalog, model, None).model)


async def _change_trace_settings(request: Request, services: Services, model: str) -> Response:
    given = await read_object(request, services.settings.max_body_bytes)
    return json_response(await services.extensions.desk.change_trace_settings(model, given))


@router.get(
    "/systemsharedmemory/status", summary="All registered shared memory", responses=openapi.SYSTEM_REGIONS
)
@router.get(
    "/systemsharedmemory/region/{region}/status",
    summary="One registered region of shared memory",
    responses=openapi.SYSTEM_REGIONS,
)
async def show_system_regions(services: ServicesDep, region: str = "") -> Response:
    return json_response(services.extensions.regions.status(region))


@router.post(
    "/systemsharedmemory/region/{region}/register",
    summary="Register shared memory for tensors",
    responses=openapi.DONE,
    openapi_extra=openapi.REGISTER_BODY,
)
async def register_system_region(request: Request, services: ServicesDep, region: str) -> Response:
    """403 unless the administrator allows it (TRIREME_GATEWAY_SHARED_MEMORY)."""
    given = await read_object(request, services.settings.max_body_bytes)
    await services.extensions.regions.register(
        region, given.get("key"), given.get("offset", 0), given.get("byte_size")
    )
    return json_response({})


@router.post("/systemsharedmemory/unregister", summary="Unregister all shared memory", responses=openapi.DONE)
@router.post(
    "/systemsharedmemory/region/{region}/unregister",
    summary="Unregister a region of shared memory",
    responses=openapi.DONE,
)
async def unregister_system_regions(services: ServicesDep, region: str = "") -> Response:
    await services.extensions.regions.unregister(region)
    return json_response({})


@router.get("/cudasharedmemory/status", summary="Always none: not supported", responses=openapi.CUDA_REGIONS)
@router.get("/cudasharedmemory/region/{region}/status", include_in_schema=False)
async def show_cuda_regions(services: ServicesDep, region: str = "") -> Response:
    return json_response(services.extensions.regions.cuda_status(region))


@router.post("/cudasharedmemory/region/{region}/register", include_in_schema=False)
async def register_cuda_region(services: ServicesDep, region: str) -> Response:
    raise services.extensions.regions.refuse_cuda(region)


@router.post(
    "/cudasharedmemory/unregister",
    summary="Unregister all of it, which is none",
    responses=openapi.DONE,
)
@router.post("/cudasharedmemory/region/{region}/unregister", include_in_schema=False)
async def unregister_cuda_regions(region: str = "") -> Response:
    return json_response({})
