"""The raw ASGI branch for the routes that carry predictions.

FastAPI stays the application: it documents these routes, and would answer them just the same with
the same handlers. Its routing and dependencies alone cost a request more than three hops do, so the
branch stands before it and finds the few hot routes by itself. docs/adr/0002 has the figures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from trireme_common.errors import TriremeError
from trireme_gateway.errors import error_response
from trireme_gateway.routes.batch import predict_batch
from trireme_gateway.routes.models import predict_instances, predict_raw
from trireme_gateway.routes.predict import predict_any
from trireme_gateway.routes.v2 import infer_model
from trireme_gateway.services import Services

Handler = Callable[..., Awaitable[Response]]


class HotRoute(NamedTuple):
    """A route's template as FastAPI knows it, its handler, and the handler's path and query arguments."""

    template: str
    handler: Handler
    arguments: dict[str, Any]


class HotRoutes:
    """ASGI application that answers the hot routes and passes everything else on."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = find(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        context = scope["trireme.context"]
        context.endpoint = route.template
        request = Request(scope, receive)
        arguments = route.arguments
        if scope["query_string"]:
            arguments = {**_query(route.template, request), **arguments}
        try:
            response = await route.handler(request, self._services, context, **arguments)
        except TriremeError as error:
            context.error = error.code
            response = error_response(scope["path"], error, context.request_id)
        await response(scope, receive, send)


def find(path: str) -> HotRoute | None:
    """The hot route of a POST to `path`, or None where FastAPI is to answer."""
    fixed = _FIXED.get(path)
    if fixed is not None:
        return fixed
    if path.startswith("/v2/models/"):
        return _find_infer(path.split("/")[3:])
    if path.startswith("/v1/models/"):
        return _find_predict(path[len("/v1/models/") :])
    return None


_FIXED = {
    "/predict": HotRoute("/predict", predict_any, {}),
    "/predict/batch": HotRoute("/predict/batch", predict_batch, {}),
}


def _find_infer(parts: list[str]) -> HotRoute | None:
    match parts:
        case [model, "infer"] if model:
            return HotRoute("/v2/models/{model}/infer", infer_model, {"model": model, "version": None})
        case [model, "versions", version, "infer"] if model and version:
            template = "/v2/models/{model}/versions/{version}/infer"
            return HotRoute(template, infer_model, {"model": model, "version": version})
    return None


def _find_predict(rest: str) -> HotRoute | None:
    for ending, handler in ((":predict", predict_instances), ("/predict", predict_raw)):
        model = rest.removesuffix(ending)
        if model and model != rest and "/" not in model:
            return HotRoute("/v1/models/{model}" + ending, handler, {"model": model})
    return None


_QUERY = {
    "/predict": ("model", "version"),
    "/predict/batch": ("model", "version"),
    "/v1/models/{model}:predict": ("version",),
    "/v1/models/{model}/predict": ("version",),
}


def _query(template: str, request: Request) -> dict[str, str]:
    given = request.query_params
    return {name: given[name] for name in _QUERY.get(template, ()) if name in given}
