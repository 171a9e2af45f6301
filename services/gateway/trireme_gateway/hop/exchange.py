"""What is under way on one stream: legs that wait, legs that were sent, cancels to be sent. No network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from trireme_common.errors import Code, TriremeError
from trireme_common.payloads import MAX_PAYLOAD_BYTES, in_messages
from trireme_common.wire import LARGE_BYTES, with_payload
from trireme_gateway.hop.calls import HopCall, Key, Leg
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import HopObserver
from trireme_protos.trireme.v1 import envelope_pb2

_MAX_MS = 2**32 - 1
_ITEMS, _ITEM_PAYLOAD = 3, 3  # numbers of the fields in envelope.proto
_CODES = frozenset(code.value for code in Code)


class _Outgoing(NamedTuple):
    """An item on its way into a message."""

    number: int
    payload: bytes
    call: HopCall


class _Message:
    """A message under way: how many of its items are unanswered."""

    __slots__ = ("key", "remaining")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.remaining = 0


class Exchange:
    """One stream's worth of work; a stream that breaks leaves it to the next one, empty.

    `wake` is called when there may be something to write, `finished` when legs have all their answers.
    """

    def __init__(
        self,
        stage: str,
        pending: Callable[[], Pending],
        observer: HopObserver,
        *,
        wake: Callable[[], None],
        finished: Callable[[Sequence[Leg], float], None],
    ) -> None:
        self.outstanding = 0
        """Items sent or waiting and not yet answered."""
        self.legs: dict[Leg, None] = {}
        """Legs that are not answered in full, oldest first."""
        self._stage = stage
        self._new_pending = pending
        self._pending = pending()
        self._observer = observer
        self._wake = wake
        self._finished = finished
        self._by_id: dict[int, Leg] = {}
        self._next_id = 1
        self._cancels: list[int] = []
        self._notices: list[bytes] = []
        self._dirty: dict[Key, None] = {}

    @property
    def sent(self) -> int:
        """Items sent so far."""
        return self._next_id - 1

    def add(self, leg: Leg) -> None:
        self.legs[leg] = None
        self.outstanding += leg.remaining
        self._pending.add(leg)
        self._mark(leg.key)

    def drop(self, leg: Leg) -> None:
        """Takes a leg back, and tells the endpoint if it was sent."""
        if leg not in self.legs:
            return
        del self.legs[leg]
        self.outstanding -= leg.remaining
        if not leg.sent:
            self._pending.discard(leg)
        else:
            for number in range(leg.first_id, leg.first_id + leg.items):
                if self._by_id.pop(number, None) is not None:
                    self._cancels.append(number)
            self._settle(leg.lane_message, leg.remaining)
        self._wake()

    def post(self, message: bytes) -> None:
        """Sends a message that carries no items."""
        self._notices.append(message)
        self._wake()

    def clear(self) -> list[Leg]:
        """Forgets everything; returns the legs that were unanswered."""
        legs, self.legs = list(self.legs), {}
        self._by_id.clear()
        self._cancels.clear()
        self._notices.clear()
        self._dirty.clear()
        self._pending = self._new_pending()
        self.outstanding = 0
        return legs

    def messages(self) -> Iterator[bytes]:
        """What is to be written now. What arrives while a message is written is part of it."""
        if self._notices:
            notices, self._notices = self._notices, []
            yield from notices
        keys, self._dirty = self._dirty, {}
        for key in keys:
            while legs := self._pending.take(key):
                yield from self._envelopes(key, legs)
        if self._cancels:
            cancels, self._cancels = self._cancels, []
            yield envelope_pb2.Envelope(cancels=cancels).SerializeToString()

    def receive(self, results: Iterable[envelope_pb2.Result], now: float) -> None:
        """Answers of the endpoint; those whose caller left, or was answered elsewhere, are passed over."""
        done: list[Leg] = []
        for result in results:
            leg = self._by_id.pop(result.id, None)
            if leg is not None:
                self._take(leg, result.id, _outcome(result), result.queue_us, result.compute_us)
                if not leg.remaining:
                    done.append(leg)
        self._conclude(done, now)

    def _mark(self, key: Key) -> None:
        self._dirty[key] = None
        self._wake()

    def _envelopes(self, key: Key, legs: list[Leg]) -> list[bytes]:
        """The items of `legs`, in as many envelopes as the limits of a message ask for."""
        now = time.monotonic()
        message = _Message(key)
        message.remaining = sum(leg.items for leg in legs)
        items: list[_Outgoing] = []
        refused: list[tuple[Leg, int]] = []
        for leg in legs:
            leg.lane_message = message
            self._number(leg, items, refused)
        for leg, number in refused:
            self._take(leg, number, too_large(self._stage), 0, 0)
        self._conclude([leg for leg in dict.fromkeys(leg for leg, _ in refused) if not leg.remaining], now)
        parts = list(in_messages(items, self._pending.message_items))
        for part in parts:
            self._observer.wrote_message(len(part))
        return [_envelope(key, part, now) for part in parts]

    def _number(self, leg: Leg, items: list[_Outgoing], refused: list[tuple[Leg, int]]) -> None:
        """Gives the items of a leg their ids; `refused` are those that no message can hold."""
        call = leg.call
        leg.first_id = self._next_id
        self._next_id += leg.items
        for number, position in enumerate(leg.positions, leg.first_id):
            payload = call.payloads[position]
            if len(payload) > MAX_PAYLOAD_BYTES:
                refused.append((leg, number))
            else:
                self._by_id[number] = leg
                items.append(_Outgoing(number, payload, call))

    def _take(
        self, leg: Leg, number: int, outcome: bytes | TriremeError, queue_us: int, compute_us: int
    ) -> None:
        leg.remaining -= 1
        self.outstanding -= 1
        self._settle(leg.lane_message, 1)
        leg.call.take(leg, number - leg.first_id, outcome, queue_us, compute_us)

    def _conclude(self, legs: list[Leg], now: float) -> None:
        """These legs have all their answers."""
        for leg in legs:
            del self.legs[leg]
        if legs:
            self._finished(legs, now)
        if not self.outstanding:
            self._wake()  # a draining endpoint is let go when it has answered everything

    def _settle(self, message: _Message, answered: int) -> None:
        message.remaining -= answered
        if not message.remaining:
            self._pending.answered(message.key)
            self._mark(message.key)


def _envelope(key: Key, items: Sequence[_Outgoing], now: float) -> bytes:
    envelope = envelope_pb2.Envelope(model=key[0], version=key[1])
    add = envelope.items.add
    pieces: list[bytes] = []
    for number, payload, call in items:
        large = len(payload) > LARGE_BYTES
        made = (envelope_pb2.Item if large else add)(
            id=number,
            remaining_ms=min(max(0, int((call.deadline - now) * 1000)), _MAX_MS),
            payload=b"" if large else payload,
            request_id=call.request_id,
            traceparent=call.traceparent,
            priority=call.priority,
        )
        if large:
            pieces += with_payload(_ITEMS, made, _ITEM_PAYLOAD, payload)
    return b"".join((envelope.SerializeToString(), *pieces))


def _outcome(result: envelope_pb2.Result) -> bytes | TriremeError:
    match result.WhichOneof("outcome"):
        case "payload":
            payload: bytes = result.payload
            return payload
        case "failure":
            code = Code(result.failure.code) if result.failure.code in _CODES else Code.INTERNAL
            return TriremeError(code, result.failure.detail)
        case _:
            return TriremeError(Code.INTERNAL, "a stage answered with neither a result nor an error")


def too_large(stage: str) -> TriremeError:
    """The error of an item that no message can hold."""
    return TriremeError(
        Code.PAYLOAD_TOO_LARGE, f"the item takes more than {MAX_PAYLOAD_BYTES} bytes on its way to {stage}"
    )
