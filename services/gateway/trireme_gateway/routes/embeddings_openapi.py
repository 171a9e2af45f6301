"""Schemas of /v1/embeddings for /docs."""

from __future__ import annotations

from typing import Any

from trireme_gateway.embeddings import MAX_INPUTS

_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}
_TEXT = {"type": "string", "minLength": 1}
_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
_OPENAI_ERROR = {
    "type": "object",
    "required": ["message", "type", "param", "code"],
    "properties": {
        "message": _STRING,
        "type": _STRING,
        "param": {"type": ["string", "null"]},
        "code": _STRING,
    },
}
_PROBLEM: dict[str, Any] = {
    "description": "What was wrong, as problem+json with the member `error` that OpenAI's clients read",
    "content": {
        "application/problem+json": {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "code", "request_id", "error"],
                "properties": {
                    "type": _STRING,
                    "title": _STRING,
                    "status": _INTEGER,
                    "detail": _STRING,
                    "code": _STRING,
                    "request_id": _STRING,
                    "error": _OPENAI_ERROR,
                },
            }
        }
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {"4XX": _PROBLEM, "5XX": _PROBLEM}

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["model", "input"],
                    "additionalProperties": False,
                    "properties": {
                        "model": _TEXT,
                        "input": {
                            "oneOf": [
                                _TEXT,
                                {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MAX_INPUTS},
                                _IDS,
                                {"type": "array", "items": _IDS, "minItems": 1, "maxItems": MAX_INPUTS},
                            ]
                        },
                        "encoding_format": {"enum": ["float", "base64", None]},
                        "dimensions": {"type": ["integer", "null"], "minimum": 1},
                        "user": {"type": ["string", "null"]},
                    },
                },
                "example": {"model": "minilm", "input": ["galley with three banks of oars", "trireme"]},
            }
        },
    }
}

_EMBEDDING = {
    "type": "object",
    "required": ["object", "index", "embedding"],
    "properties": {
        "object": {"const": "embedding"},
        "index": _INTEGER,
        "embedding": {
            "oneOf": [
                {"type": "array", "items": {"type": "number"}},
                {"type": "string", "description": "base64 of little-endian float32"},
            ]
        },
    },
}
EMBEDDINGS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An embedding for every input, in their order",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["object", "data", "model", "usage"],
                    "properties": {
                        "object": {"const": "list"},
                        "data": {"type": "array", "items": _EMBEDDING},
                        "model": _STRING,
                        "usage": {
                            "type": "object",
                            "required": ["prompt_tokens", "total_tokens"],
                            "properties": {"prompt_tokens": _INTEGER, "total_tokens": _INTEGER},
                        },
                    },
                }
            }
        },
    }
}
