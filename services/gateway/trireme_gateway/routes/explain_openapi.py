"""Schemas of the explanations' bodies, for /docs."""

from __future__ import annotations

from typing import Any

_NUMBERS = {"type": "array", "items": {"type": "number"}, "minItems": 1}

EXPLAIN: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["instances"],
                    "additionalProperties": False,
                    "properties": {
                        "instances": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 16,
                            "items": {"oneOf": [{"type": "string"}, _NUMBERS]},
                        },
                        "baseline": _NUMBERS,
                    },
                },
                "example": {"instances": ["这家酒店非常好，服务热情"]},
            }
        },
    }
}
EXPLAINED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "An explanation for each instance, or its error",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["explanations"],
                    "properties": {"explanations": {"type": "array", "items": {"type": "object"}}},
                }
            }
        },
    }
}
