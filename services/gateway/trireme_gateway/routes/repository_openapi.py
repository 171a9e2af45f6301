"""Schemas of the repository routes' bodies, for /docs."""

from __future__ import annotations

from typing import Any

from trireme_gateway.routes.v2_openapi import Responses

_STRING = {"type": "string"}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": schema, "example": example}}}}


DONE: Responses = {
    200: {
        "description": "Every endpoint has done so",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}
_LOAD_PARAMETERS = {
    **_closed({"config": {"type": "string", "description": "Triton's ModelConfig, as JSON"}}),
    "patternProperties": {
        "^file:[1-9][0-9]*/[A-Za-z0-9_][A-Za-z0-9_.-]*$": {
            "type": "string",
            "contentEncoding": "base64",
            "description": "Content of a file of a version; needs `config` beside it",
        }
    },
}
LOAD_BODY = _body({"type": "object", "properties": {"parameters": _LOAD_PARAMETERS}}, {})
UNLOAD_BODY = _body(
    {"type": "object", "properties": {"parameters": _closed({"unload_dependents": {"type": "boolean"}})}}, {}
)
ROLLED_BACK: Responses = {
    200: {
        "description": "The version that answers by default, from now on",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["name", "version"],
                    "properties": {"name": _STRING, "version": _STRING},
                }
            }
        },
    }
}
ROLLBACK_BODY = _body(_closed({"version": {"type": ["string", "integer"]}}), {"version": "1"})
