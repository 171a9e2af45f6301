"""Texts of a batch, read as the body arrives: `{"texts": [...]}` or NDJSON strings.

What a chunk completes is handed on with it, so that a caller may wait for answers before it sends more. Only
what has not been consumed yet is held, so memory does not grow with the body.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import ijson

from trireme_common.errors import Code, TriremeError
from trireme_gateway.json_body import parse_json
from trireme_gateway.surrogates import Surrogates

_SHAPE = (
    'the body must be {"texts": [strings]}, or one JSON string a line with content-type application/x-ndjson'
)


def _wrong(detail: str) -> TriremeError:
    return TriremeError(Code.INVALID_ARGUMENT, detail)


def _too_large(limit: int) -> TriremeError:
    return TriremeError(Code.PAYLOAD_TOO_LARGE, f"one text is larger than {limit} bytes")


def json_texts(chunks: AsyncIterator[bytes], max_text_bytes: int) -> AsyncIterator[list[str]]:
    """What each chunk completes of `{"texts": [...]}`. Raises TriremeError(INVALID_ARGUMENT or
    PAYLOAD_TOO_LARGE) behind the texts before the fault."""
    return _arrivals(chunks, _Json(max_text_bytes))


def ndjson_texts(chunks: AsyncIterator[bytes], max_text_bytes: int) -> AsyncIterator[list[str]]:
    """The same of one JSON string a line; blank lines are passed over. Raises as `json_texts`."""
    return _arrivals(chunks, _Lines(max_text_bytes))


class _Body(Protocol):
    """Both raise TriremeError behind the texts before the fault."""

    def texts(self, chunk: bytes) -> Iterator[str]: ...

    def end(self) -> Iterator[str]: ...


async def _arrivals(chunks: AsyncIterator[bytes], body: _Body) -> AsyncIterator[list[str]]:
    async for chunk in chunks:
        found: list[str] = []
        try:
            found.extend(body.texts(chunk))
        except TriremeError:
            if found:
                yield found
            raise
        if found:
            yield found
    if found := list(body.end()):
        yield found


class _Json:
    """One object with one list of strings."""

    def __init__(self, max_text_bytes: int) -> None:
        self._max_text_bytes = max_text_bytes
        self._events: Any = ijson.sendable_list()
        self._parser = ijson.parse_coro(self._events)
        self._surrogates = Surrogates()
        self._shape = _Shape()
        self._unread = 0

    def texts(self, chunk: bytes) -> Iterator[str]:
        lone = self._surrogates.first_lone(chunk)
        fault = self._parse(chunk if lone is None else chunk[:lone])
        self._unread = 0 if self._events else self._unread + len(chunk)
        if self._unread > self._max_text_bytes:
            raise _too_large(self._max_text_bytes)
        for text in self._shape.texts(self._events):
            if len(text) > self._max_text_bytes:
                raise _too_large(self._max_text_bytes)
            yield text
        del self._events[:]
        if fault is not None:
            raise fault
        if lone is not None:
            raise _wrong("the body is not valid JSON: half of a surrogate pair stands alone")

    def end(self) -> Iterator[str]:
        if (fault := self._parse(None)) is not None:
            raise fault
        if not self._shape.complete:
            raise _wrong(_SHAPE)
        return iter(())

    def _parse(self, chunk: bytes | None) -> TriremeError | None:
        """The events before a fault stand."""
        try:
            if chunk is None:
                self._parser.close()
            else:
                self._parser.send(chunk)
        except (ijson.JSONError, UnicodeDecodeError):
            # The message quotes the body, so it goes no further.
            return _wrong("the body is not valid JSON")
        return None


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


class _Lines:
    """One string a line."""

    def __init__(self, max_text_bytes: int) -> None:
        self._max_text_bytes = max_text_bytes
        self._rest = bytearray()

    def texts(self, chunk: bytes) -> Iterator[str]:
        ended, newline, unended = chunk.rpartition(b"\n")
        if newline:
            for line in bytes(self._rest + ended).split(b"\n"):
                if len(line) > self._max_text_bytes:
                    raise _too_large(self._max_text_bytes)
                if line.strip():
                    yield _text(line)
            self._rest = bytearray(unended)
        else:
            self._rest += chunk
        if len(self._rest) > self._max_text_bytes:
            raise _too_large(self._max_text_bytes)

    def end(self) -> Iterator[str]:
        if self._rest.strip():
            yield _text(bytes(self._rest))


def _text(line: bytes) -> str:
    value = parse_json(line)
    if not isinstance(value, str):
        raise _wrong("every line must be a JSON string")
    return value
