"""Errors over HTTP: the one table of statuses, and the two shapes in which they leave.

Routes under /v2 answer `{"error": ...}` as the Open Inference Protocol does, all others
`application/problem+json` (RFC 9457) with a stable `code` and the request id. Under /v1, where OpenAI's
clients call too, the problem has a member `error` besides, which is what they read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from trireme_common.errors import Code, TriremeError

STATUS: dict[Code, int] = {
    Code.INVALID_ARGUMENT: 400,
    Code.BLANK_TEXT: 400,
    Code.TEXT_TOO_LONG: 400,
    Code.UNDECODABLE_IMAGE: 400,
    Code.IMAGE_TOO_LARGE: 413,
    Code.NON_FINITE_NUMBER: 400,
    Code.WRONG_SHAPE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.MODEL_NOT_FOUND: 404,
    Code.METHOD_NOT_ALLOWED: 405,
    Code.PAYLOAD_TOO_LARGE: 413,
    Code.UNSUPPORTED_MEDIA_TYPE: 415,
    Code.RATE_LIMITED: 429,
    Code.CANCELLED: 499,
    Code.NOT_CACHED: 504,
    Code.INTERNAL: 500,
    Code.MODEL_FAILED: 500,
    Code.INPUT_QUARANTINED: 500,
    Code.UNIMPLEMENTED: 501,
    Code.MODEL_NOT_READY: 503,
    Code.BACKEND_UNAVAILABLE: 503,
    Code.OVERLOADED: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
_TITLES = {code: code.value.replace("_", " ").capitalize() for code in Code}
_PARAMETER = re.compile(r"{[^}]*}")
_RETRY_AFTER_SECONDS = {503: "1", 429: "1"}
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ParameterError(TriremeError):
    """A member of the body is wrong; `param` is its name."""

    def __init__(self, param: str, detail: str, code: Code = Code.INVALID_ARGUMENT) -> None:
        super().__init__(code, detail)
        self.param = param


def error_response(
    path: str, error: TriremeError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that failed as a whole, in the shape that belongs to its path."""
    status = STATUS[error.code]
    all_headers = dict(headers or {})
    if status in _RETRY_AFTER_SECONDS:
        all_headers.setdefault("retry-after", _RETRY_AFTER_SECONDS[status])
    if is_protocol_path(path):
        return Response(orjson.dumps({"error": error.detail}), status, all_headers, "application/json")
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES[error.code],
        "status": status,
        "detail": error.detail,
        "code": error.code.value,
        "request_id": request_id,
    }
    if path.startswith("/v1/"):
        problem["error"] = _openai_error(error, status)
    return Response(orjson.dumps(problem), status, all_headers, "application/problem+json")


def _openai_error(error: TriremeError, status: int) -> dict[str, str | None]:
    kind = _OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    param = error.param if isinstance(error, ParameterError) else None
    return {"message": error.detail, "type": kind, "param": param, "code": error.code.value}


def is_protocol_path(path: str) -> bool:
    """Whether errors on this path take the Open Inference Protocol's shape."""
    return path == "/v2" or path.startswith("/v2/")


def item_error(error: TriremeError) -> dict[str, str]:
    """The `error` of one item among the results."""
    return {"code": error.code.value, "detail": error.detail}


async def handle_error(request: Request, error: Exception) -> Response:
    """Exception handler for TriremeError."""
    assert isinstance(error, TriremeError)
    context = request.scope["trireme.context"]
    context.error = error.code
    return error_response(request.url.path, error, context.request_id)


async def handle_not_found(request: Request, _: Exception) -> Response:
    """Exception handler for a route that does not exist."""
    error = TriremeError(Code.NOT_FOUND, f"no route {request.url.path}; see /docs for those there are")
    return error_response(request.url.path, error, request.scope["trireme.context"].request_id)


async def handle_method_not_allowed(request: Request, _: Exception) -> Response:
    """Exception handler for a method that the route does not take."""
    headers = {"allow": ", ".join(_allowed(request))}
    refused = TriremeError(Code.METHOD_NOT_ALLOWED, f"{request.method} is not allowed on {request.url.path}")
    return error_response(request.url.path, refused, request.scope["trireme.context"].request_id, headers)


def _allowed(request: Request) -> list[str]:
    """Methods of the path: of all routes that it matches, of those that spell out most of it."""
    spelt = [
        (len(_PARAMETER.sub("", route.path)), route.methods or set())
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    ]
    most = max((length for length, _ in spelt), default=0)
    return sorted(set[str]().union(*(methods for length, methods in spelt if length == most)))
