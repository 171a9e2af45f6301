"""Schema of the statistics routes' answer, for /docs."""

from __future__ import annotations

from typing import Any

from trireme_gateway.routes.v2_openapi import Responses
from trireme_gateway.statistics.model_statistics import BATCH, INFERENCE, RESPONSE

_STRING = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 0}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_DURATION = _object({"count": _NUMBER, "ns": _NUMBER})
_MODEL = _object(
    {
        "name": _STRING,
        "version": _STRING,
        "last_inference": {**_NUMBER, "description": "Milliseconds since the epoch"},
        "inference_count": _NUMBER,
        "execution_count": _NUMBER,
        "inference_stats": _object(dict.fromkeys(INFERENCE, _DURATION)),
        "response_stats": {
            "type": "object",
            "additionalProperties": _object(dict.fromkeys(RESPONSE, _DURATION)),
        },
        "batch_stats": {
            "type": "array",
            "items": _object({"batch_size": _NUMBER, **dict.fromkeys(BATCH, _DURATION)}),
        },
        "memory_usage": {
            "type": "array",
            "items": _object({"type": _STRING, "id": {"type": "integer"}, "byte_size": _NUMBER}),
        },
    }
)

STATISTICS: Responses = {
    200: {
        "description": "An entry for every version",
        "content": {
            "application/json": {"schema": _object({"model_stats": {"type": "array", "items": _MODEL}})}
        },
    }
}
