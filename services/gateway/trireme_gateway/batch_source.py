"""Texts of a batch, read as the body arrives: `{"texts": [...]}` or NDJSON strings.

Only what has not been consumed yet is held, so memory does not grow with the body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import ijson

from trireme_common.errors import Code, TriremeError
from trireme_gateway.json_body import parse_json

_SHAPE = (
    'the body must be {"texts": [strings]}, or one JSON string a line with content-type application/x-ndjson'
)


def _wrong(detail: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, detail)


def _too_large(limit: int) -> TriremeError:
    return TriremeError(Code.PAYLOAD_TOO_LARGE, f"one text is larger than {limit} bytes")


async def json_texts(chunks: AsyncIterator[bytes], max_text_bytes: int) -> AsyncIterator[str]:
    """Texts of `{"texts": [...]}`. Raises TriremeError(INVALID_ARGUMENT or PAYLOAD_TOO_LARGE)."""
    events: Any = ijson.sendable_list()
    parser = ijson.parse_coro(events)
    shape = _Shape()
    unread = 0
    try:
        async for chunk in chunks:
            parser.send(chunk)
            unread = 0 if events else unread + len(chunk)
            if unread > max_text_bytes:
                raise _too_large(max_text_bytes)
            for text in shape.texts(events):
                if len(text) > max_text_bytes:
                    raise _too_large(max_text_bytes)
                yield text
            del events[:]
        parser.close()
    except ijson.JSONError as error:
        # ijson's message quotes the body, so it goes no further.
        raise _wrong("the body is not valid JSON") from error
    if not shape.complete:
        raise _wrong(_SHAPE)


class _Shape:
    """Follows the parser's events and refuses everything but one object with one list of strings."""

    def __init__(self) -> None:
        self._seen = False
        self.complete = False

    def texts(self, events: list[tuple[str, str, Any]]) -> Iterator[str]:
        for prefix, event, value in events:
            if prefix == "texts.item" and event == "string":
                yield value
            elif (prefix, event) == ("texts", "end_array"):
                self.complete = True
            else:
                self._check(prefix, event, value)

    def _check(self, prefix: str, event: str, value: Any) -> None:
        if prefix == "texts.item":
            raise _wrong("every text must be a string")
        if prefix == "" and event == "map_key":
            if value != "texts" or self._seen:
                raise _wrong(_SHAPE)
            self._seen = True
        elif (prefix, event) not in {("", "start_map"), ("", "end_map"), ("texts", "start_array")}:
            raise _wrong(_SHAPE)


async def ndjson_texts(chunks: AsyncIterator[bytes], max_text_bytes: int) -> AsyncIterator[str]:
    """Texts of a body with one JSON string a line; blank lines are passed over. Raises as `json_texts`."""
    rest = bytearray()
    async for chunk in chunks:
        ended, newline, unended = chunk.rpartition(b"\n")
        if newline:
            for line in bytes(rest + ended).split(b"\n"):
                if len(line) > max_text_bytes:
                    raise _too_large(max_text_bytes)
                if line.strip():
                    yield _text(line)
            rest = bytearray(unended)
        else:
            rest += chunk
        if len(rest) > max_text_bytes:
            raise _too_large(max_text_bytes)
    if rest.strip():
        yield _text(bytes(rest))


def _text(line: bytes) -> str:
    value = parse_json(line)
    if not isinstance(value, str):
        raise _wrong("every line must be a JSON string")
    return value
