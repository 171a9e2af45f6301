"""The body of a request on its way from the parser to the application, not copied more often than needed."""

from __future__ import annotations

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

# What a socket is read for at once: below it a pause would stop nothing that has not arrived already.
_HIGH_WATER_BYTES = 256 * 1024


class BodyReader:
    """`receive` of one request's cycle. Installs itself.

    uvicorn gathers what arrives in a bytearray, which is copied where it grows and once more when it is
    handed on. Here the parts stay as the parser gave them, and one that is alone is handed on as it is.
    """

    __slots__ = ("_cycle", "_parts", "_waiting", "size")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self._parts: list[bytes] = []
        self._waiting = 0
        self.size = 0
        """Bytes of the body that have arrived so far."""
        cycle.receive = self.receive  # type: ignore[method-assign]

    def add(self, part: bytes) -> None:
        """Takes what has arrived. Reading pauses while the application leaves too much of it untaken."""
        self.size += len(part)
        cycle = self._cycle
        if cycle.response_complete:
            return
        self._parts.append(part)
        self._waiting += len(part)
        if self._waiting > _HIGH_WATER_BYTES:
            cycle.flow.pause_reading()
        cycle.message_event.set()

    async def receive(self) -> ASGIReceiveEvent:
        """As ASGI has it."""
        cycle = self._cycle
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        if not cycle.disconnected and not cycle.response_complete:
            cycle.flow.resume_reading()
            await cycle.message_event.wait()
            cycle.message_event.clear()
        if cycle.disconnected or cycle.response_complete:
            return {"type": "http.disconnect"}
        parts, self._parts, self._waiting = self._parts, [], 0
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return {"type": "http.request", "body": body, "more_body": cycle.more_body}
