"""The anchor: raw ASGI that decodes the body, answers with what it holds, and does nothing else."""

from __future__ import annotations

from typing import Any

import orjson
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPRequestEvent, Scope

from benchmarks.peers.serving import serve


async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """`{"texts": [...]}` comes back as results with each text; any other body as its number of bytes."""
    assert scope["type"] == "http"
    body = await _read(receive)
    answer: dict[str, Any] = {"bytes": len(body)}
    if (b"content-type", b"application/json") in scope["headers"]:
        answer = {"results": [{"text": text} for text in orjson.loads(body)["texts"]]}
    content = orjson.dumps(answer)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": False})
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def _read(receive: ASGIReceiveCallable) -> bytes:
    body = b""
    more = True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            raise ConnectionError("the client has gone")
        request: HTTPRequestEvent = event
        body += request["body"]
        more = request["more_body"]
    return body


if __name__ == "__main__":
    serve(app)
