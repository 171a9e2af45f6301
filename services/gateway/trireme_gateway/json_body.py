"""Strict JSON: what the standard forbids or leaves open is refused, not guessed at.

orjson refuses NaN, Infinity, invalid UTF-8 and lone surrogates, but lets the last of two equal keys
win; the keys are therefore looked at once more, in the raw text, which costs a scan of the strings.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from trireme_common.errors import Code, TriremeError

# Every string of the text, those that are keys together with their colon.
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"\s*:?', re.DOTALL)
_STRINGS_AND_BRACES = re.compile(_STRINGS.pattern + rb"|[{}]", re.DOTALL)


def parse_json(body: bytes) -> Any:
    """Value of a JSON text. Raises TriremeError(INVALID_ARGUMENT) with the reason."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise TriremeError(Code.INVALID_ARGUMENT, f"the body is not valid JSON: {error}") from error
    keys = [found for found in _STRINGS.findall(body) if found.endswith(b":")]
    if any(b"\\" in key for key in keys) or len(keys) != len(set(map(_name, keys))):
        _check_each_object(body)
    return value


def _check_each_object(body: bytes) -> None:
    """The slower way, for bodies in which a key occurs twice somewhere, or is written with escapes."""
    objects: list[set[str]] = []
    for token in _STRINGS_AND_BRACES.findall(body):
        if token == b"{":
            objects.append(set())
        elif token == b"}":
            objects.pop()
        elif token.endswith(b":"):
            key = orjson.loads(_name(token))
            if key in objects[-1]:
                raise TriremeError(
                    Code.INVALID_ARGUMENT, "the body is not valid JSON: a key stands twice in one object"
                )
            objects[-1].add(key)


def _name(key: bytes) -> bytes:
    """A key as it is written, in its quotes, without the colon."""
    return key[:-1].rstrip()
