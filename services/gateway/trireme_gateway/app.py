"""The HTTP application: routes, error handlers and the whole middleware onion in one list."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from trireme_common import __version__
from trireme_common.errors import TriremeError
from trireme_gateway.errors import handle_error, handle_method_not_allowed, handle_not_found
from trireme_gateway.hot_routes import HotRoutes
from trireme_gateway.middleware import AccessLog, RequestMiddleware
from trireme_gateway.routes import (
    batch,
    console,
    embeddings,
    explain,
    health,
    models,
    predict,
    repository,
    statistics,
    v2,
    v2_extensions,
)
from trireme_gateway.services import Services


def create_app(services: Services, access_log: AccessLog) -> ASGIApp:
    """The application over its use cases; nothing is opened or started here.

    From the outside in: every request gets its context and is counted, browsers' cross-origin
    questions are answered, the hot routes branch off, and FastAPI answers the rest.
    """
    settings = services.settings
    app: ASGIApp = HotRoutes(create_api(services), services)
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    if origins:
        exposed = ["x-request-id", "x-cache", "x-model-version", "server-timing", "retry-after"]
        app = CORSMiddleware(
            app, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=exposed
        )
    return RequestMiddleware(
        app,
        timeout_seconds=settings.request_timeout_seconds,
        access_log=access_log,
        tracer=services.tracer,
        draining=services.draining.closing,
    )


def create_api(services: Services) -> FastAPI:
    """All routes, with their documentation at /docs."""
    api = FastAPI(
        title="Trireme",
        version=__version__,
        description="Model serving: preprocess, inference and postprocess behind one gateway.",
        # As they stand: `include_router` would analyse every endpoint's parameters a second time.
        routes=[route for router in _routers() for route in router.routes],
        exception_handlers={
            TriremeError: handle_error,
            404: handle_not_found,
            405: handle_method_not_allowed,
        },
        redirect_slashes=False,
        docs_url=None,  # FastAPI's own page loads from elsewhere; the console's router serves ours
        redoc_url=None,
        # The middleware's span covers the hot routes too; FastAPI's own telemetry would be a second one.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    api.state.services = services
    return api


def _routers() -> Iterable[APIRouter]:
    """In the order of the documentation."""
    modules = (
        predict,
        batch,
        embeddings,
        models,
        explain,
        statistics,
        v2,
        v2_extensions,
        repository,
        health,
    )
    return (*(module.router for module in modules), console.create_router())
