"""POST /v1/embeddings, in OpenAI's shape, so that its clients work unchanged."""

from __future__ import annotations

import base64

import numpy as np
import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from trireme_gateway.answers import Vector
from trireme_gateway.body import read_body
from trireme_gateway.catalog import Asleep
from trireme_gateway.embeddings import embed, read_request
from trireme_gateway.json_body import parse_json
from trireme_gateway.routes import embeddings_openapi as openapi
from trireme_gateway.services import ContextDep, ServicesDep

router = APIRouter(tags=["embeddings"], responses=openapi.ERRORS)


@router.post(
    "/v1/embeddings",
    summary="Embed texts or token ids, as OpenAI's API does",
    responses=openapi.EMBEDDINGS,
    openapi_extra=openapi.BODY,
)
async def create_embeddings(
    request: Request, services: ServicesDep, context: ContextDep, version: str | None = None
) -> Response:
    """`input` is a text, a list of texts, the token ids of a text or a list of those; 2,048 at most.
    `dimensions` may only be the model's own. One input that fails fails the request."""
    body = await read_body(request, services.settings.max_body_bytes)
    asked = read_request(parse_json(body))
    try:
        route = services.catalog.resolve(asked.model, version)
    except Asleep as asleep:
        route = await services.awake(asleep, asked.model, version, context, len(body))
    vectors = await embed(services.pipeline, route, asked, context)
    tokens = sum(vector.tokens for vector in vectors)
    content = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _encode(vector, asked.base64)}
            for index, vector in enumerate(vectors)
        ],
        "model": route.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


def _encode(vector: Vector, in_base64: bool) -> str | np.ndarray:
    """float32 in both forms, so that both say the same: base64 of little-endian bytes, or numbers."""
    values = np.asarray(vector.values, dtype="<f4")
    return base64.b64encode(values.tobytes()).decode() if in_base64 else values
