"""/v2/repository: load, unload and roll back models, in Triton's shapes where Triton has one."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from trireme_common.errors import Code, TriremeError
from trireme_gateway.body import read_object
from trireme_gateway.presenters import json_response
from trireme_gateway.repository import check_unload_parameters
from trireme_gateway.routes import repository_openapi as openapi
from trireme_gateway.routes.v2_openapi import ERRORS
from trireme_gateway.services import ContextDep, Services, ServicesDep

router = APIRouter(prefix="/v2/repository/models", tags=["model repository"], responses=ERRORS)


@router.post(
    "/{model}/load",
    summary="Load a model, or load it again",
    responses=openapi.DONE,
    openapi_extra=openapi.LOAD_BODY,
)
async def load(request: Request, services: ServicesDep, context: ContextDep, model: str) -> Response:
    """Serves the model as its own version policy says: looks for new versions, tries again what had failed,
    loads what is lazy, and lifts an unload or a rollback. Answers when every endpoint has done so. The
    parameters `config` and `file:<version>/<name>` bring a configuration and files along."""
    parameters = await _parameters(request, services)
    await services.repository.load(model, context.deadline, parameters)
    return json_response({})


@router.post(
    "/{model}/unload",
    summary="Unload a model until it is loaded",
    responses=openapi.DONE,
    openapi_extra=openapi.UNLOAD_BODY,
)
async def unload(request: Request, services: ServicesDep, context: ContextDep, model: str) -> Response:
    """Requests for it are refused at once, also after restarts; those under way are answered."""
    parameters = await _parameters(request, services)
    check_unload_parameters(parameters)
    await services.repository.unload(model, context.deadline)
    return json_response({})


@router.post(
    "/{model}/rollback",
    summary="Put an older version back until the model is loaded",
    responses=openapi.ROLLED_BACK,
    openapi_extra=openapi.ROLLBACK_BODY,
)
async def rollback(request: Request, services: ServicesDep, context: ContextDep, model: str) -> Response:
    """The version answers on every replica, whatever newer ones there are or come, also after restarts.
    Without `version`: the newest good one that is older than the one that answers now."""
    body = await read_object(request, services.settings.max_body_bytes)
    version = body.get("version")
    if isinstance(version, int) and not isinstance(version, bool):
        version = str(version)
    if not body.keys() <= {"version"} or not isinstance(version, str | None):
        raise TriremeError(
            Code.INVALID_ARGUMENT, 'the body is empty or {"version": "N"}; DELETE lifts a rollback'
        )
    version = await services.repository.rollback(model, version, context.deadline)
    return json_response({"name": model, "version": version})


@router.delete("/{model}/rollback", summary="Lift a rollback", responses=openapi.ROLLED_BACK)
async def lift(services: ServicesDep, context: ContextDep, model: str) -> Response:
    """As loading the model; answers the version that answers from now on."""
    version = await services.repository.load(model, context.deadline)
    return json_response({"name": model, "version": version})


async def _parameters(request: Request, services: Services) -> dict[str, Any]:
    parameters = (await read_object(request, services.settings.max_body_bytes)).get("parameters", {})
    if not isinstance(parameters, dict):
        raise TriremeError(Code.INVALID_ARGUMENT, "'parameters' must be an object")
    return parameters
