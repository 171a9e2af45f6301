"""uvicorn's httptools protocol with the bounds it lacks: size of headers, and time to send them.

The work of a client that leaves is cancelled, down to what waits in the stages.

A client that trickles its body is closed too: each stretch of `_BODY_STRETCH_SECONDS` must bring
`_BODY_STRETCH_BYTES`, unless the application itself held the reading back.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from trireme_gateway.answer_writer import AnswerWriter
from trireme_gateway.body_reader import BodyReader

MAX_HEADER_BYTES = 64 * 1024
_HEADER_SECONDS = 10.0
_BODY_STRETCH_SECONDS = 15.0
_BODY_STRETCH_BYTES = 16 * 1024
_END_OF_HEADERS = b"\r\n\r\n"


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_bytes = 0
        self._in_headers = True
        self._begun = False
        """Whether a request line has begun whose headers are not complete."""
        self._body: BodyReader | None = None
        """Of the request that arrives, or arrived last."""
        self._body_bytes = 0
        """Of the stretch."""
        self._deadline: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        unanswered = self.cycle is not None and not self.cycle.response_complete
        super().connection_lost(exc)
        if unanswered and self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        if len(data) <= MAX_HEADER_BYTES - self._header_bytes:
            self._receive(data)
            return
        # In parts, or headers larger than the limit would pass if one read brought them whole.
        rest, position = memoryview(data), 0
        while position < len(data) and not self.transport.is_closing():
            end = position + self._part_size(data, position)
            self._receive(rest[position:end])
            position = end

    def _part_size(self, data: bytes, position: int) -> int:
        """How much may be parsed at once: what stands before a body alone, so that the body is one piece."""
        if not self._in_headers:
            return max(MAX_HEADER_BYTES, self._body_left())
        room = MAX_HEADER_BYTES - self._header_bytes
        ending = data.find(_END_OF_HEADERS, position, position + room)
        return room if ending < 0 else ending + len(_END_OF_HEADERS) - position

    def _body_left(self) -> int:
        """What is still to come of a body whose length was declared; 0 where it was not."""
        declared = [value for name, value in self.headers if name == b"content-length"]
        return int(declared[0]) - self._body.size if declared and self._body is not None else 0

    def _receive(self, data: bytes | memoryview) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
        else:
            self._body_bytes += len(data)
        super().data_received(data)  # type: ignore[arg-type]  # the parser takes any buffer
        if self._in_headers and self._header_bytes >= MAX_HEADER_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", b"the headers are larger than 64 KiB")
        elif self._deadline is None:
            self._watch_the_rest()

    def _watch_the_rest(self) -> None:
        """A timer for what is still to come; a request that came whole needs none."""
        if not self._in_headers:
            self._deadline = self.loop.call_later(_BODY_STRETCH_SECONDS, self._check_body)
        elif self._begun or self._header_bytes:
            self._expect_headers()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = self._begun = True

    def on_headers_complete(self) -> None:
        self._in_headers = self._begun = False
        self._header_bytes = self._body_bytes = 0
        self._cancel_deadline()
        super().on_headers_complete()
        self._body = BodyReader(self.cycle)

    def on_body(self, body: bytes) -> None:
        if self._body is not None:
            self._body.add(body)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """As the base does it, keeping the task: it is cancelled when its client leaves."""
        AnswerWriter(cycle)
        self._task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(self._task)
        self._task.add_done_callback(self.tasks.discard)

    def on_message_complete(self) -> None:
        self._cancel_deadline()
        self._in_headers = True
        super().on_message_complete()

    def _expect_headers(self) -> None:
        self._deadline = self.loop.call_later(_HEADER_SECONDS, self._headers_late)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _headers_late(self) -> None:
        if self._header_bytes:
            self._refuse(b"408 Request Timeout", b"the headers did not arrive in time")
        elif not self.transport.is_closing():
            self.transport.close()

    def _check_body(self) -> None:
        held_back = self.flow.read_paused
        if self._body_bytes < _BODY_STRETCH_BYTES and not held_back:
            self._refuse(b"408 Request Timeout", b"the body did not arrive in time")
            return
        self._body_bytes = 0
        self._deadline = self.loop.call_later(_BODY_STRETCH_SECONDS, self._check_body)

    def _refuse(self, status: bytes, detail: bytes) -> None:
        """Answers, if no answer has begun on this connection, and closes it."""
        self._cancel_deadline()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(
                b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n" % (status, len(detail))
                + b"connection: close\r\n\r\n"
                + detail
            )
        self.transport.close()
