"""Answers that are whole when they start, written in one piece."""

from __future__ import annotations

from typing import Any

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

_LEFT_TO_UVICORN = frozenset((b"connection", b"transfer-encoding"))


class AnswerWriter:
    """`send` of one request's cycle. Installs itself.

    uvicorn writes the head and the body of an answer one after the other, which are two system calls and
    two packets, and searches each header with regular expressions. Here the head waits for the body; an
    answer whose first part is all of it is written at once, and every other one is left to uvicorn.
    """

    __slots__ = ("_cycle", "_head", "_passed")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._head: Message | None = None
        self._passed: Any = cycle.send
        cycle.send = self.send  # type: ignore[method-assign, assignment]

    async def send(self, message: Message) -> None:
        """As ASGI has it, but that another start may replace one whose body has not begun."""
        if message["type"] == "http.response.start" and not self._cycle.response_started:
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            if self._write_whole(head, message):
                return
            await self._passed(head)
        await self._passed(message)

    def _write_whole(self, head: Message, message: Message) -> bool:
        cycle = self._cycle
        if (
            message["type"] != "http.response.body"
            or message.get("more_body", False)
            or cycle.response_started
            or cycle.disconnected
            or cycle.flow.write_paused
            or not cycle.keep_alive
            or cycle.scope["method"] == "HEAD"
        ):
            return False
        body = message.get("body", b"")
        lines = _head_lines([*cycle.default_headers, *head["headers"]], len(body))
        if lines is None:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(STATUS_LINE[head["status"]] + lines + body)
        cycle.message_event.set()
        # Nobody asks the cycle for these any more, and with them it is a ring that only the collector frees.
        del cycle.receive, cycle.send
        cycle.on_response()
        return True


def _head_lines(headers: list[tuple[bytes, bytes]], size: int) -> bytes | None:
    """The header lines and the empty one behind them, or None where uvicorn is to look at the answer."""
    known = dict(headers)
    if known.get(b"content-length") != b"%d" % size or not _LEFT_TO_UVICORN.isdisjoint(known):
        return None
    lines = b"".join([b"%b: %b\r\n" % header for header in headers]) + b"\r\n"
    # A line break inside of a value would make two headers of one.
    whole = lines.count(b"\n") == lines.count(b"\r") == len(headers) + 1
    return lines if whole else None
