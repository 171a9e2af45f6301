"""Any number of texts as streams of bounded size, and the lines in which they are answered.

An HTTP/1.1 client sends all of a body before it reads, while the platform answers as it reads and waits
for its answers to be taken. A body beyond what the sockets hold could thus stop both for good, so texts
travel in streams that the sockets hold whole; each is answered line by line.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from trireme_client.answers import item
from trireme_client.errors import ConnectionLost, UnexpectedAnswer
from trireme_client.results import Classification, Embedding, FailedItem, Served

STREAM_TEXTS = 256
STREAM_BYTES = 48 * 1024

BatchItem = Classification | Embedding | FailedItem


class Streams:
    """Cuts texts into streams."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._bytes = 0

    def add(self, text: str) -> list[str]:
        """Takes a text; gives the stream that it no longer fits into, or nothing."""
        size = 6 * len(text) + 3  # as it is written at the longest: quotes, a line's end, escapes
        full = len(self._texts) == STREAM_TEXTS or self._bytes + size > STREAM_BYTES
        ended = self.rest() if full else []
        self._texts.append(text)
        self._bytes += size
        return ended

    def rest(self) -> list[str]:
        """The last stream; empty where nothing is left."""
        texts, self._texts, self._bytes = self._texts, [], 0
        return texts


class Lines:
    """Reads the answer to one stream as it arrives."""

    def __init__(self, texts: Sequence[str], served: Served) -> None:
        self._texts = texts
        self._served = served
        self._unread = b""
        self._found = 0
        self._ended = False

    def feed(self, data: bytes) -> list[BatchItem]:
        """Results whose lines are whole now. Raises UnexpectedAnswer for what is no answer."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        try:
            found = [self._item(json.loads(line)) for line in lines if line.strip()]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnexpectedAnswer(
                "a line of the answer cannot be read", request_id=self._served.request_id
            ) from error
        return [result for result in found if result is not None]

    def _item(self, fields: Any) -> BatchItem | None:
        if not isinstance(fields, dict):
            raise ValueError("a line is an object")
        if "index" not in fields:
            self._ended = "total_count" in fields
            return None
        if fields["index"] != self._found:
            raise ValueError("the lines are not in order")
        text = self._texts[self._found] if self._found < len(self._texts) else None
        self._found += 1
        return item({**fields, "text": text}, self._served)

    def finish(self) -> None:
        """The answer has ended. Raises ConnectionLost where it was cut before the last line."""
        if not self._ended or self._found != len(self._texts):
            raise ConnectionLost(
                f"the answer ended after {self._found} of {len(self._texts)} texts",
                request_id=self._served.request_id,
            )
