"""Schemas of the bodies of Triton's extensions, for /docs."""

from __future__ import annotations

from typing import Any

from trireme_gateway.extensions.log_settings import FORMATS
from trireme_gateway.extensions.trace_settings import MODE, OFF, TIMESTAMPS
from trireme_gateway.routes.v2_openapi import Responses

_STRING = {"type": "string"}
_SIZE = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}


def _answer(description: str, schema: dict[str, Any]) -> Responses:
    return {200: {"description": description, "content": {"application/json": {"schema": schema}}}}


def _body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"requestBody": {"content": {"application/json": {"schema": schema, "example": example}}}}


def _closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


_LOG: dict[str, dict[str, Any]] = {
    "log_file": {"type": "string", "enum": [""]},
    "log_info": {"type": "boolean"},
    "log_warning": {"type": "boolean"},
    "log_error": {"type": "boolean"},
    "log_verbose_level": {"type": "integer", "minimum": 0, "maximum": 2**32 - 1},
    "log_format": {"type": "string", "enum": list(FORMATS)},
}
_LEVELS = {"type": "array", "maxItems": 1, "items": {"type": "string", "enum": [OFF, TIMESTAMPS]}}
_NUMBER: dict[str, Any] = {"type": "string", "pattern": "^[0-9]{1,19}$"}
_COUNT: dict[str, Any] = {"type": "string", "pattern": "^(-1|[0-9]{1,19})$"}


def _set(digits: dict[str, Any], least: int, most: int) -> dict[str, Any]:
    """What a caller sets: a number, a string of its digits, or a list of one of them; an empty one clears."""
    one = [digits, {"type": "integer", "minimum": least, "maximum": most}]
    return {"anyOf": [*one, {"type": "array", "maxItems": 1, "items": {"anyOf": one}}]}


_TRACE: dict[str, dict[str, Any]] = {
    "trace_file": {"type": "string", "enum": [""]},
    "trace_level": _LEVELS,
    "trace_rate": _NUMBER,
    "trace_count": _COUNT,
    "log_frequency": _NUMBER,
    "trace_mode": {"type": "string", "enum": [MODE]},
}
_REGION = {"name": _STRING, "key": _STRING, "offset": _SIZE, "byte_size": _SIZE}

LOG = _answer("All log settings", _object(_LOG))
LOG_BODY = _body(
    _closed({name: _nullable(schema) for name, schema in _LOG.items()}), {"log_verbose_level": 1}
)
TRACE = _answer("All trace settings", _object(_TRACE))
_SET_TRACE = {
    **_TRACE,
    "trace_rate": _set(_NUMBER, 0, 2**32 - 1),
    "log_frequency": _set(_NUMBER, 0, 2**32 - 1),
    "trace_count": _set(_COUNT, -1, 2**31 - 1),
}
TRACE_BODY = _body(
    _closed({name: _nullable(schema) for name, schema in _SET_TRACE.items()}),
    {"trace_level": [TIMESTAMPS], "trace_rate": "100", "trace_count": "10"},
)
SYSTEM_REGIONS = _answer("The regions", {"type": "array", "items": _object(_REGION)})
CUDA_REGIONS = _answer("None", {"type": "array", "maxItems": 0, "items": {}})
REGISTER_BODY = _body(
    _closed({"key": _STRING, "offset": _SIZE, "byte_size": _SIZE}, "key", "byte_size"),
    {"key": "/inputs", "offset": 0, "byte_size": 64},
)
DONE = _answer("Done", {"type": "object"})
