"""Schemas of request bodies for /docs. Routes read bodies themselves, so they say here what they take."""

from __future__ import annotations

from typing import Any

_PROBLEM: dict[str, Any] = {
    "description": "What was wrong, as application/problem+json",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "code", "request_id"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "code": {"type": "string"},
                    "request_id": {"type": "string"},
                },
            }
        }
    },
}
# As `responses` of a router; it also keeps FastAPI from promising a 422, which is never sent.
ERRORS: dict[int | str, dict[str, Any]] = {"4XX": _PROBLEM, "5XX": _PROBLEM}
# Where items have errors of their own: if all of them failed, they stand in the usual answer.
_ITEMS_OR_PROBLEM: dict[str, Any] = {
    "description": "What was wrong with the request, or the results, each with its error",
    "content": {**_PROBLEM["content"], "application/json": {"schema": {"type": "object"}}},
}
ITEM_ERRORS: dict[int | str, dict[str, Any]] = {"4XX": _ITEMS_OR_PROBLEM, "5XX": _ITEMS_OR_PROBLEM}

_STRINGS = {"type": "array", "items": {"type": "string"}}
_NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 1}


def _extra(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}}


def _json(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"schema": schema, "example": example}


PREDICT = _extra(
    {
        "application/json": _json(
            {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["texts"],
                        "additionalProperties": False,
                        "properties": {"texts": {**_STRINGS, "minItems": 1, "maxItems": 100}},
                    },
                    {
                        "type": "object",
                        "required": ["data"],
                        "additionalProperties": False,
                        "properties": {"data": _NUMBERS},
                    },
                ]
            },
            {"texts": ["这家酒店非常好，服务热情"]},
        ),
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        },
    }
)

BATCH = _extra(
    {
        "application/json": _json(
            {"type": "object", "required": ["texts"], "properties": {"texts": _STRINGS}},
            {"texts": ["很好", "太差了"]},
        ),
        "application/x-ndjson": {"schema": {"type": "string"}, "example": '"很好"\n"太差了"\n'},
    }
)

INSTANCES = _extra(
    {
        "application/json": _json(
            {
                "type": "object",
                "required": ["instances"],
                "properties": {
                    "instances": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "oneOf": [
                                {"type": "string"},
                                _NUMBERS,
                                {
                                    "type": "object",
                                    "required": ["b64"],
                                    "additionalProperties": False,
                                    "properties": {"b64": {"type": "string", "format": "byte"}},
                                },
                            ]
                        },
                    }
                },
            },
            {"instances": ["这家酒店非常好，服务热情"]},
        )
    }
)

RAW_ITEM = _extra(
    {
        "image/*": {"schema": {"type": "string", "format": "binary"}},
        "text/plain": {"schema": {"type": "string"}},
        "application/json": {"schema": {"oneOf": [{"type": "string"}, _NUMBERS]}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
            }
        },
    }
)

BATCHED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A line a text, and a last one with the totals; or one object with all results",
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "object", "required": ["results", "total_count"]}},
        },
    }
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}
}
