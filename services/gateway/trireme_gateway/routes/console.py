"""The console at /, its files under /console, and the API's documentation at /docs."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from trireme_common.errors import Code, TriremeError
from trireme_gateway.console.static_files import StaticFile, static_files
from trireme_gateway.presenters import json_response
from trireme_gateway.v2.compression import choose_coding

# Nothing is loaded from elsewhere, nothing is run or styled inline, nobody puts the page in a frame.
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
# Swagger's style sheet carries its icons in itself, and its page writes style attributes.
_DOCS_POLICY = f"{_POLICY}; img-src 'self' data:; style-src 'self' 'unsafe-inline'"
_PAGES = {"index.html", "docs.html"}


def create_router() -> APIRouter:
    """The routes over the files. No coroutines: FastAPI runs them in threads, where a file may be read."""
    router = APIRouter(include_in_schema=False)
    found = static_files()

    @router.api_route("/", methods=["GET", "HEAD"])
    def console(request: Request) -> Response:
        """The page; to who takes JSON and no pages, KServe's liveness of the protocol's version 1."""
        accepted = request.headers.get("accept", "")
        if "application/json" in accepted and "text/html" not in accepted:
            return json_response({"status": "alive"})
        return _respond(request, found["index.html"], _POLICY)

    @router.api_route("/docs", methods=["GET", "HEAD"])
    def docs(request: Request) -> Response:
        return _respond(request, found["docs.html"], _DOCS_POLICY)

    @router.api_route("/console/{path:path}", methods=["GET", "HEAD"])
    def static(request: Request, path: str) -> Response:
        if path not in found or path in _PAGES:
            raise TriremeError(Code.NOT_FOUND, f"no file /console/{path}; the console is at /")
        return _respond(request, found[path], _POLICY)

    return router


def _respond(request: Request, file: StaticFile, policy: str) -> Response:
    """The file, or 304 where the browser has it already."""
    headers = {
        "etag": file.etag,
        "cache-control": "no-cache",  # kept, and asked about each time: an upgrade shows at once
        "vary": "accept, accept-encoding",
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    if _is_known(request.headers.get("if-none-match", ""), file.etag):
        return Response(status_code=304, headers=headers)
    body = file.body
    if choose_coding(request.headers.get("accept-encoding", ""), len(body)) == "gzip":
        headers["content-encoding"] = "gzip"
        body = file.gzipped
    return Response(body, headers=headers, media_type=file.media_type)


def _is_known(if_none_match: str, etag: str) -> bool:
    """Weak comparison, as RFC 9110 (13.1.2) wants it for GET."""
    known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in known or etag.removeprefix("W/") in known
