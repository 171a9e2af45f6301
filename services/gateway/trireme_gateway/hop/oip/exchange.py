"""What is under way at a foreign server: legs, each answered by one ModelInfer call or several. No network.

Everything is sent at once, because the server batches by itself; what shares a call are items of one request,
and only where it is known how many rows the model takes. A call of several that fails is repeated item by
item, so that one bad item fails alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.payloads import MAX_PAYLOAD_BYTES
from trireme_common.tensors import Tensor, decode_tensors, encode_tensors
from trireme_gateway.hop.calls import Key, Leg
from trireme_gateway.hop.exchange import too_large
from trireme_gateway.hop.oip.batches import Batch, batches
from trireme_gateway.hop.oip.messages import decode_response, encode_request
from trireme_gateway.hop.oip.models import Served
from trireme_gateway.hop.oip.ports import ServerAwayError
from trireme_gateway.hop.ports import HopObserver

logger = structlog.get_logger(__name__)

_LAST_MOMENT_SECONDS = 0.01
# Errors that items would share, were they asked one by one.
_SHARED = (Code.DEADLINE_EXCEEDED, Code.OVERLOADED, Code.MODEL_NOT_FOUND, Code.UNIMPLEMENTED)


class CallsListener(Protocol):
    """Who owns the calls."""

    def spoke(self, now: float) -> None:
        """The server answered, well or not."""

    def finished(self, legs: Sequence[Leg], now: float) -> None:
        """Legs that have all their answers."""

    def away(self, leg: Leg, error: ServerAwayError) -> None:
        """The server did not take this leg, which is no longer under way here."""


class Server(Protocol):
    """What of a server the calls need."""

    async def infer(self, message: bytes, seconds: float, traceparent: str) -> bytes: ...

    def served(self, key: Key) -> Served: ...


class ServerCalls:
    """As `hop.exchange.Exchange`, by unary calls."""

    def __init__(self, stage: str, server: Server, observer: HopObserver, listener: CallsListener) -> None:
        self.outstanding = 0
        """Items not yet answered."""
        self.legs: dict[Leg, None] = {}
        """Legs that are not answered in full, oldest first."""
        self.sent = 0
        """Items sent so far."""
        self._stage = stage
        self._server = server
        self._observer = observer
        self._listener = listener
        self._tasks: dict[Leg, asyncio.Task[None]] = {}

    def add(self, leg: Leg) -> None:
        self.legs[leg] = None
        self.outstanding += leg.remaining
        leg.first_id = self.sent + 1
        self.sent += leg.items
        self._tasks[leg] = asyncio.create_task(self._carry(leg))

    def drop(self, leg: Leg) -> None:
        """Takes a leg back: its calls are cancelled, which the server hears of."""
        if leg in self.legs:
            self._forget(leg)

    def clear(self) -> list[Leg]:
        """Takes back everything; returns the legs that were unanswered."""
        legs = list(self.legs)
        for leg in legs:
            self._forget(leg)
        return legs

    def _forget(self, leg: Leg) -> None:
        del self.legs[leg]
        self.outstanding -= leg.remaining
        task = self._tasks.pop(leg)
        if task is not asyncio.current_task():
            task.cancel()

    async def _carry(self, leg: Leg) -> None:
        away: ServerAwayError | None = None
        try:
            # What cannot be sent is answered first, and may be all there is.
            found = batches(list(self._items(leg)), self._server.served(leg.key).most_rows)
            await self._answer_all(leg, found)
        except* ServerAwayError as errors:
            away = _one_of(errors)
        if away is not None and leg in self.legs:
            self._forget(leg)
            self._listener.away(leg, away)

    async def _answer_all(self, leg: Leg, found: Sequence[Batch]) -> None:
        """Side by side; the first one that the server did not take ends the others."""
        if len(found) == 1:
            await self._answer(leg, found[0])
            return
        async with asyncio.TaskGroup() as group:
            for batch in found:
                group.create_task(self._answer(leg, batch))

    def _items(self, leg: Leg) -> Iterator[tuple[int, Sequence[Tensor]]]:
        """Items that can be sent, each behind its place in the leg."""
        for place, position in enumerate(leg.positions):
            payload = leg.call.payloads[position]
            try:
                if len(payload) > MAX_PAYLOAD_BYTES:
                    raise too_large(self._stage)
                yield place, decode_tensors(payload)
            except TriremeError as error:
                self._take(leg, [place], [error])

    async def _answer(self, leg: Leg, batch: Batch) -> None:
        """Every item of the batch gets its outcome, unless the time is up, which the caller knows himself."""
        try:
            outcomes: Sequence[bytes | TriremeError] = await self._ask(leg, batch)
        except ServerAwayError:
            raise
        except TriremeError as error:
            if error.code is Code.DEADLINE_EXCEEDED:
                if time.monotonic() >= leg.call.deadline - _LAST_MOMENT_SECONDS:
                    return
            else:
                self._listener.spoke(time.monotonic())
            if len(batch.items) > 1 and error.code not in _SHARED:
                await self._answer_all(leg, list(batch.alone()))
                return
            outcomes = [error.afresh() for _ in batch.items]
        except Exception:  # nobody else would answer these items
            logger.exception("foreign_call_failed", stage=self._stage)
            failed = "the call of the inference server failed"
            outcomes = [TriremeError(Code.INTERNAL, failed) for _ in batch.items]
        self._take(leg, batch.places, outcomes)

    async def _ask(self, leg: Leg, batch: Batch) -> list[bytes | TriremeError]:
        call = leg.call
        version = self._server.served(leg.key).version
        message = encode_request(leg.key[0], version, batch.joined(), call.request_id, call.priority)
        self._observer.wrote_message(len(batch.items))
        seconds = max(0.0, call.deadline - time.monotonic())
        answer = await self._server.infer(message, seconds, call.traceparent)
        self._listener.spoke(time.monotonic())
        return [encode_tensors(outputs) for outputs in batch.cut(decode_response(answer))]

    def _take(self, leg: Leg, places: Sequence[int], outcomes: Sequence[bytes | TriremeError]) -> None:
        if leg not in self.legs:
            return  # it was taken back meanwhile
        for place, outcome in zip(places, outcomes, strict=True):
            leg.remaining -= 1
            self.outstanding -= 1
            leg.call.take(leg, place, outcome, 0, 0)
        if not leg.remaining:
            del self.legs[leg]
            del self._tasks[leg]
            self._listener.finished([leg], time.monotonic())


def _one_of(errors: BaseExceptionGroup[ServerAwayError]) -> ServerAwayError:
    first = errors.exceptions[0]
    return first if isinstance(first, ServerAwayError) else _one_of(first)
