"""A client of the REST routes under /v2, in this process."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.unit.gateway.v2.fakes import services
from trireme_common.errors import TriremeError
from trireme_gateway.context import RequestContext
from trireme_gateway.errors import handle_error, handle_method_not_allowed, handle_not_found
from trireme_gateway.routes.v2 import router
from trireme_gateway.services import Services

TEXT = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": ["good", "坏"]}]}


class WithContext:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["trireme.context"] = RequestContext("id", time.monotonic() + 10)
        await self._app(scope, receive, send)


def application(known: Services) -> FastAPI:
    app = FastAPI(
        routes=router.routes,
        redirect_slashes=False,
        exception_handlers={
            TriremeError: handle_error,
            404: handle_not_found,
            405: handle_method_not_allowed,
        },
    )
    app.add_middleware(WithContext)
    app.state.services = known
    return app


@asynccontextmanager
async def client(known: Services | None = None) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(application(known or services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as made:
        yield made


async def call(method: str, path: str, known: Services | None = None, **keywords: Any) -> httpx.Response:
    async with client(known) as made:
        return await made.request(method, path, **keywords)


async def infer(model: str, body: Any, known: Services | None = None, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await call("POST", f"/v2/models/{model}/infer", known, content=content, headers=sent)
