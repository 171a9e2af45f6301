"""POST /predict/batch: thousands of texts in one call, answered in order as they are ready."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from trireme_common.errors import TriremeError
from trireme_gateway.batch import Batch, TextOutcome, lines
from trireme_gateway.batch_body import BatchBody
from trireme_gateway.batch_source import json_texts, ndjson_texts
from trireme_gateway.catalog import Asleep
from trireme_gateway.presenters import item_object, json_response, status_of
from trireme_gateway.routes.openapi import BATCH, BATCHED, ITEM_ERRORS
from trireme_gateway.routes.predict import text_route
from trireme_gateway.services import ContextDep, Services, ServicesDep

router = APIRouter(tags=["predict"], responses=ITEM_ERRORS)

_NDJSON = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")


@router.post(
    "/predict/batch",
    openapi_extra=BATCH,
    responses=BATCHED,
    summary="Predict from any number of texts, as a stream",
)
async def predict_batch(
    request: Request,
    services: ServicesDep,
    context: ContextDep,
    model: str | None = None,
    version: str | None = None,
) -> Response:
    """Answers NDJSON, a line a text and a last line with the totals; with `accept:
    application/json` one object with all results. Lines leave as they are ready, also while the
    caller still sends."""
    try:
        route = text_route(services, model, version)
    except Asleep as asleep:  # the body is still to be read
        route = await services.holding.route(asleep, lambda: text_route(services, model, version), context)
    batch = Batch(services.pipeline, route, context, services.settings.request_timeout_seconds)
    body = BatchBody(request.receive, services.settings.max_body_bytes)
    texts = _texts(request, body, services)
    # The first that the caller names is the one it likes best; a list may follow.
    if re.split("[,;]", request.headers.get("accept", ""))[0].strip().lower() == "application/json":
        return await _whole(batch, texts, route.descriptor.task)

    def last() -> bytes:
        totals = {
            "total_count": batch.total,
            "failed": batch.failed,
            "inference_time": context.inference_seconds,
        }
        return orjson.dumps(totals) + b"\n"

    stream = lines(batch, texts, lambda outcome: _line(outcome, route.descriptor.task), last)
    # The first chunk is made before the answer starts, so that a bad body can still be refused whole.
    first = await anext(stream)
    return _BatchResponse(body, _chain(first, stream))


class _BatchResponse(StreamingResponse):
    """Streams while the body is still being read.

    Starlette's own would listen for the client's leaving at the same time, and swallow parts of the
    body. Reading the body notices it here, and afterwards the server drops what nobody takes.
    """

    def __init__(self, body: BatchBody, lines: AsyncIterator[bytes]) -> None:
        super().__init__(lines, media_type="application/x-ndjson")
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.stream_response(lambda message: self._body.send(message, send))


async def _chain(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(rest):
        yield first
        async for chunk in rest:
            yield chunk


def _texts(request: Request, body: BatchBody, services: Services) -> AsyncIterator[list[str]]:
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    read = ndjson_texts if media_type in _NDJSON else json_texts
    return read(body.chunks(), services.settings.max_body_bytes)


def _object(found: TextOutcome, task: str) -> dict[str, Any]:
    if isinstance(found.outcome, TriremeError):
        return {"index": found.index, **item_object(task, found.outcome)}
    return {"index": found.index, "text": found.text, **item_object(task, found.outcome)}


def _line(found: TextOutcome, task: str) -> bytes:
    return orjson.dumps(_object(found, task)) + b"\n"


async def _whole(batch: Batch, texts: AsyncIterator[list[str]], task: str) -> Response:
    async with aclosing(batch.outcomes(texts)) as windows:
        found = [outcome async for outcomes in windows for outcome in outcomes]
    if found and found[-1].text is None and isinstance(found[-1].outcome, TriremeError):
        raise found[-1].outcome  # nothing has left yet, so a body of the wrong shape is refused whole
    results = [_object(outcome, task) for outcome in found]
    status = status_of([outcome.outcome for outcome in found])
    return json_response({"results": results, "total_count": batch.total}, status)
