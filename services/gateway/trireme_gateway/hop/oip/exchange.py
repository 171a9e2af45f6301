"""What is under way at a foreign server: legs, each answered by one ModelInfer call or several. No network.

Everything is sent at once, because the server batches by itself. A leg holds items of one request; they share
a call only where it is known how many rows the model takes, and a call of several that fails is repeated item
by item, so that one bad item fails alone.
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
from trireme_gateway.hop.calls import Arrivals, Leg
from trireme_gateway.hop.exchange import too_large
from trireme_gateway.hop.oip.batches import Batch, batches
from trireme_gateway.hop.oip.messages import decode_response, encode_request
from trireme_gateway.hop.oip.models import Served
from trireme_gateway.hop.oip.ports import ServerAwayError
from trireme_gateway.hop.ports import HopItem, HopObserver, Key

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
        self._withdrawn: dict[Leg, set[HopItem]] = {}
        """Items that were taken back of legs of which others are left."""

    def add(self, leg: Leg) -> None:
        self.legs[leg] = None
        self.outstanding += leg.remaining
        leg.first_id = self.sent + 1
        self.sent += len(leg.items)
        self._tasks[leg] = asyncio.create_task(self._carry(leg))

    def drop(self, leg: Leg) -> None:
        """Takes a leg back: its calls are cancelled, which the server hears of."""
        if leg in self.legs:
            self._forget(leg)

    def withdraw(self, leg: Leg, items: Sequence[HopItem]) -> None:
        """Takes some items of a leg back. If they share a call that was made already, that one goes on."""
        if leg in self.legs:
            gone = set(items)
            self._withdrawn.setdefault(leg, set()).update(gone)
            leg.items = [item for item in leg.items if item not in gone]
            leg.remaining -= len(gone)
            self.outstanding -= len(gone)

    def clear(self) -> list[Leg]:
        """Takes back everything; returns the legs that were unanswered."""
        legs = list(self.legs)
        for leg in legs:
            self._forget(leg)
        return legs

    def _forget(self, leg: Leg) -> None:
        del self.legs[leg]
        self._withdrawn.pop(leg, None)
        self.outstanding -= leg.remaining
        task = self._tasks.pop(leg)
        if task is not asyncio.current_task():
            task.cancel()

    async def _carry(self, leg: Leg) -> None:
        away: ServerAwayError | None = None
        # What was answered elsewhere meanwhile is not sent: its payload may be another by now.
        if stale := [item for item in leg.items if item.call is not leg.call]:
            self.withdraw(leg, stale)
        try:
            # What cannot be sent is answered first, and may be all there is.
            most_rows = self._server.served(leg.key).most_rows
            await self._answer_all(leg, batches(list(self._readable(leg)), most_rows))
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

    def _readable(self, leg: Leg) -> Iterator[tuple[HopItem, Sequence[Tensor]]]:
        """Items that can be sent, with their tensors."""
        for item in leg.items:
            try:
                if len(item.payload) > MAX_PAYLOAD_BYTES:
                    raise too_large(self._stage)
                yield item, decode_tensors(item.payload)
            except TriremeError as error:
                self._take(leg, [item], [error])

    async def _answer(self, leg: Leg, batch: Batch) -> None:
        """Every item of the batch gets its outcome, unless the time is up, which its sender knows himself."""
        try:
            outcomes: Sequence[bytes | TriremeError] = await self._ask(leg, batch)
        except ServerAwayError:
            raise
        except TriremeError as error:
            if error.code is Code.DEADLINE_EXCEEDED:
                if time.monotonic() >= batch.items[0].request.deadline - _LAST_MOMENT_SECONDS:
                    return
            else:
                self._listener.spoke(time.monotonic())
            if len(batch.items) > 1 and error.code not in _SHARED:
                gone = self._withdrawn.get(leg, ())
                again = [alone for alone in batch.alone() if alone.items[0] not in gone]
                await self._answer_all(leg, again)
                return
            outcomes = [error.afresh() for _ in batch.items]
        except Exception:  # nobody else would answer these items
            logger.exception("foreign_call_failed", stage=self._stage)
            failed = "the call of the inference server failed"
            outcomes = [TriremeError(Code.INTERNAL, failed) for _ in batch.items]
        self._take(leg, batch.items, outcomes)

    async def _ask(self, leg: Leg, batch: Batch) -> list[bytes | TriremeError]:
        request = batch.items[0].request
        version = self._server.served(leg.key).version
        message = encode_request(leg.key[0], version, batch.joined(), request.request_id, request.priority)
        self._observer.wrote_message(len(batch.items))
        seconds = max(0.0, request.deadline - time.monotonic())
        answer = await self._server.infer(message, seconds, batch.items[0].traceparent)
        self._listener.spoke(time.monotonic())
        return [encode_tensors(outputs) for outputs in batch.cut(decode_response(answer))]

    def _take(self, leg: Leg, items: Sequence[HopItem], outcomes: Sequence[bytes | TriremeError]) -> None:
        if leg not in self.legs:
            return  # it was taken back meanwhile
        now = time.monotonic()
        arrivals = Arrivals()
        withdrawn = self._withdrawn.get(leg, ())
        for item, outcome in zip(items, outcomes, strict=True):
            if item in withdrawn:
                continue  # it was taken back meanwhile
            leg.remaining -= 1
            self.outstanding -= 1
            if leg.call.take(leg, item, outcome, 0, 0):
                arrivals.add(leg.call, item)
        if not leg.remaining:
            del self.legs[leg]
            del self._tasks[leg]
            self._withdrawn.pop(leg, None)
            self._listener.finished([leg], now)
        arrivals.deliver(now)


def _one_of(errors: BaseExceptionGroup[ServerAwayError]) -> ServerAwayError:
    first = errors.exceptions[0]
    return first if isinstance(first, ServerAwayError) else _one_of(first)
