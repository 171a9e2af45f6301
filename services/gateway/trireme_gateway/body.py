"""Reading request bodies, never more than the limit into memory."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from trireme_common.errors import Code, TriremeError
from trireme_gateway.json_body import parse_json


def too_large(limit: int) -> TriremeError:
    return TriremeError(Code.PAYLOAD_TOO_LARGE, f"the body is larger than the limit of {limit} bytes")


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, at most `limit` bytes. Raises TriremeError(PAYLOAD_TOO_LARGE or CANCELLED)."""
    check_declared_length(request, limit)
    # Not Request.stream, whose generator costs more than reading a small body does.
    message = await request.receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        chunks = [body]
        size = len(body)
        while message.get("more_body", False) and size <= limit:
            message = await request.receive()
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
        body = b"".join(chunks)
    if message["type"] == "http.disconnect":
        raise TriremeError(Code.CANCELLED, "the caller left")
    if len(body) > limit:
        raise too_large(limit)
    return body


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty one.

    Raises TriremeError as `read_body`, and INVALID_ARGUMENT for anything else.
    """
    body = await read_body(request, limit)
    content = parse_json(body) if body.strip() else {}
    if not isinstance(content, dict):
        raise TriremeError(Code.INVALID_ARGUMENT, "the body must be a JSON object, or empty")
    return content


def header(request: Request, name: bytes) -> str:
    """Value of a header, the last where it is repeated, or an empty string; `name` in lower case."""
    return str(dict(request.scope["headers"]).get(name, b""), "latin-1")


def check_declared_length(request: Request, limit: int) -> None:
    """Refuses a body by its declared length, before any of it is read."""
    declared = header(request, b"content-length")
    # More digits than any limit has are too many, and Python would refuse to read thousands of them.
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
        raise too_large(limit)
