"""Schemas of the Open Inference Protocol's bodies, for /docs."""

from __future__ import annotations

from typing import Any

Responses = dict[int | str, dict[str, Any]]

_STRING = {"type": "string"}
_BOOLEAN = {"type": "boolean"}
_SHAPE = {"type": "array", "items": {"type": "integer"}}
_PARAMETERS = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_DATA = {
    "type": "array",
    "items": {},
    "description": "Numbers, booleans or strings, row-major, flat or nested",
}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_TENSOR = _object({"name": _STRING, "datatype": _STRING, "shape": _SHAPE}, "name", "datatype", "shape")
_INPUT = _object(
    {"name": _STRING, "datatype": _STRING, "shape": _SHAPE, "parameters": _PARAMETERS, "data": _DATA},
    "name",
    "datatype",
    "shape",
)
_REQUEST = _object(
    {
        "id": _STRING,
        "parameters": _PARAMETERS,
        "inputs": _list(_INPUT),
        "outputs": _list(_object({"name": _STRING, "parameters": _PARAMETERS}, "name")),
    },
    "inputs",
)
_RESPONSE = _object(
    {"model_name": _STRING, "model_version": _STRING, "id": _STRING, "outputs": _list(_INPUT)},
    "model_name",
    "model_version",
    "outputs",
)
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_MODEL = _object(
    {
        "name": _STRING,
        "versions": _list(_STRING),
        "platform": _STRING,
        "inputs": _list(_TENSOR),
        "outputs": _list(_TENSOR),
    },
    "name",
    "platform",
)
_INDEX_ENTRY = _object({"name": _STRING, "version": _STRING, "state": _STRING, "reason": _STRING}, "name")

ERRORS: Responses = {"default": _json("What was wrong", _object({"error": _STRING}, "error"))}
SERVER: Responses = {
    200: _json(
        "The server",
        _object(
            {"name": _STRING, "version": _STRING, "extensions": _list(_STRING)},
            "name",
            "version",
            "extensions",
        ),
    )
}
LIVE: Responses = {200: _json("Alive", _object({"live": _BOOLEAN}, "live"))}
READY: Responses = {
    200: _json("Ready", _object({"ready": _BOOLEAN}, "ready")),
    503: _json("Not ready yet", _object({"ready": _BOOLEAN}, "ready")),
}
MODEL: Responses = {200: _json("The model", _MODEL)}
MODEL_CONFIG: Responses = {
    200: _json(
        "Triton's model configuration",
        {
            **_object({"name": _STRING, "platform": _STRING, "max_batch_size": {"type": "integer"}}, "name"),
            "additionalProperties": True,
        },
    )
}
MODEL_READY: Responses = {
    200: _json("Ready", _object({"name": _STRING, "ready": _BOOLEAN}, "name", "ready")),
    503: _json(
        "Not ready yet",
        _object({"name": _STRING, "ready": _BOOLEAN, "error": _STRING}, "name", "ready", "error"),
    ),
}
INDEX: Responses = {200: _json("The models", _list(_INDEX_ENTRY))}
INDEX_BODY: dict[str, Any] = {
    "requestBody": {"content": {"application/json": {"schema": _object({"ready": _BOOLEAN}), "example": {}}}}
}
INFERRED: Responses = {
    200: {
        "description": "The outputs; as octets where any of them was asked for in binary",
        "content": {"application/json": {"schema": _RESPONSE}, "application/octet-stream": _BINARY},
    }
}
INFER_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": "Inference-Header-Content-Length",
            "in": "header",
            "required": False,
            "description": "Length of the JSON where binary tensor data stands behind it; 0 where the "
            "whole body is the data of the model's one input",
            "schema": {"type": "integer", "minimum": 0},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _REQUEST,
                "example": {
                    "inputs": [
                        {
                            "name": "text",
                            "datatype": "BYTES",
                            "shape": [1],
                            "data": ["这家酒店非常好"],
                        }
                    ]
                },
            },
            "application/octet-stream": _BINARY,
        },
    },
}
