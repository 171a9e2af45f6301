"""What is under way on one stream: legs that wait, legs that were sent, cancels to be sent. No network."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from trireme_common.errors import Code, TriremeError
from trireme_common.payloads import MAX_PAYLOAD_BYTES, in_messages
from trireme_common.wire import LARGE_BYTES, with_payload
from trireme_gateway.hop.calls import Arrivals, Leg
from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import HopItem, HopObserver, Key
from trireme_protos.trireme.v1 import envelope_pb2

_MAX_MS = 2**32 - 1
_ITEMS, _ITEM_PAYLOAD = 3, 3  # numbers of the fields in envelope.proto
_CODES = frozenset(code.value for code in Code)


class _Message:
    """A message under way: how many of its items are unanswered."""

    __slots__ = ("key", "remaining")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.remaining = 0


class Exchange:
    """One stream's worth of work; a stream that breaks leaves it to the next one, empty.

    `write` is called when there is something new to write, `wake` when something that waits may go, together
    with what comes of it; `finished` when legs have all their answers.
    """

    def __init__(
        self,
        stage: str,
        pending: Callable[[], Pending],
        learning: Learning,
        observer: HopObserver,
        *,
        write: Callable[[], None],
        wake: Callable[[], None],
        finished: Callable[[Sequence[Leg], float], None],
    ) -> None:
        self.outstanding = 0
        """Items sent or waiting and not yet answered."""
        self.legs: dict[Leg, None] = {}
        """Legs that are not answered in full, oldest first."""
        self.at_once: Collection[Key] = ()
        """Versions of which the endpoint wants every item as it comes."""
        self._stage = stage
        self._new_pending = pending
        self._pending = pending()
        self._learning = learning
        self._observer = observer
        self._write = write
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
        self._dirty[leg.key] = None
        self._write()

    def drop(self, leg: Leg) -> None:
        """Takes a leg back, and tells the endpoint if it was sent."""
        if leg not in self.legs:
            return
        del self.legs[leg]
        self.outstanding -= leg.remaining
        if not leg.sent:
            self._pending.discard(leg)
        elif leg.remaining:  # none is left of one whose items were all answered elsewhere before it was sent
            for number in range(leg.first_id, leg.first_id + len(leg.items)):
                if self._by_id.pop(number, None) is not None:
                    self._cancels.append(number)
            self._settle(leg.message, leg.remaining)
        self._wake()

    def withdraw(self, leg: Leg, items: Sequence[HopItem]) -> None:
        """Takes unanswered items of a leg back, and tells the endpoint if they were sent. Others are left."""
        if leg not in self.legs:
            return
        gone = set(items)
        if not leg.sent:
            leg.items = [item for item in leg.items if item not in gone]
            self._pending.shrink(leg, len(gone))
        else:
            for number, item in enumerate(leg.items, leg.first_id):
                if item in gone:
                    del self._by_id[number]
                    self._cancels.append(number)
            self._settle(leg.message, len(gone))
        leg.remaining -= len(gone)
        self.outstanding -= len(gone)
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
            gathers = key not in self.at_once and self._learning.gathers(key)
            while legs := self._pending.take(key, gathers=gathers):
                yield from self._envelopes(key, legs)
        if self._cancels:
            cancels, self._cancels = self._cancels, []
            yield envelope_pb2.Envelope(cancels=cancels).SerializeToString()

    def receive(self, results: Iterable[envelope_pb2.Result], now: float) -> None:
        """Answers of the endpoint; those whose caller left, or was answered elsewhere, are passed over."""
        done: list[Leg] = []
        arrivals = Arrivals()
        ran: dict[Key, list[tuple[int, int]]] = {}
        for result in results:
            number = result.id
            leg = self._by_id.pop(number, None)
            if leg is not None:
                item = leg.items[number - leg.first_id]
                outcome = result.payload or _outcome(result)
                queue_us, compute_us = result.queue_us, result.compute_us
                if compute_us:  # else it never ran
                    ran.setdefault(leg.key, []).append((queue_us, compute_us))
                self._take(leg, item, arrivals, outcome, queue_us, compute_us)
                if not leg.remaining:
                    done.append(leg)
        for key, times in ran.items():
            self._learning.ran(key, times)
        self._conclude(done, arrivals, now)

    def _envelopes(self, key: Key, legs: list[Leg]) -> list[bytes]:
        """The items of `legs`, in as many envelopes as the limits of a message ask for."""
        now = time.monotonic()
        message = _Message(key)
        items: list[HopItem] = []
        refused: list[tuple[Leg, HopItem]] = []
        for leg in legs:
            if leg.remaining > leg.call.remaining:
                self._shorten(leg)
            leg.message = message
            message.remaining += leg.remaining
            self._number(leg, items, refused)
        if not message.remaining:
            self._free_place(key)
        if refused:
            self._refuse(refused, now)
        parts = list(in_messages(items, self._pending.message_items))
        for part in parts:
            self._observer.wrote_message(len(part))
        return [_envelope(key, part, now) for part in parts]

    def _shorten(self, leg: Leg) -> None:
        """What was answered elsewhere while the leg waited is not sent: its payload may be another by now."""
        leg.items = [item for item in leg.items if item.call is leg.call]
        self.outstanding -= leg.remaining - len(leg.items)
        leg.remaining = len(leg.items)

    def _number(self, leg: Leg, items: list[HopItem], refused: list[tuple[Leg, HopItem]]) -> None:
        """Gives the items of a leg their ids; `refused` are those that no message can hold."""
        leg.first_id = self._next_id
        self._next_id += len(leg.items)
        for number, item in enumerate(leg.items, leg.first_id):
            if len(item.payload) > MAX_PAYLOAD_BYTES:
                refused.append((leg, item))
            else:
                item.number = number
                self._by_id[number] = leg
                items.append(item)

    def _refuse(self, refused: Sequence[tuple[Leg, HopItem]], now: float) -> None:
        arrivals = Arrivals()
        for leg, item in refused:
            self._take(leg, item, arrivals, too_large(self._stage), 0, 0)
        done = [leg for leg in dict.fromkeys(leg for leg, _ in refused) if not leg.remaining]
        self._conclude(done, arrivals, now)

    def _take(
        self,
        leg: Leg,
        item: HopItem,
        arrivals: Arrivals,
        outcome: bytes | TriremeError,
        queue_us: int,
        compute_us: int,
    ) -> None:
        leg.remaining -= 1
        self.outstanding -= 1
        message = leg.message
        message.remaining -= 1
        if not message.remaining:
            self._free_place(leg.key)
        call = leg.call
        if call.take(leg, item, outcome, queue_us, compute_us):
            arrivals.add(call, item)

    def _conclude(self, legs: list[Leg], arrivals: Arrivals, now: float) -> None:
        """These legs have all their answers."""
        for leg in legs:
            del self.legs[leg]
        if legs:
            self._finished(legs, now)
        if not self.outstanding:
            self._wake()  # a draining endpoint is let go when it has answered everything
        arrivals.deliver(now)

    def _settle(self, message: _Message, answered: int) -> None:
        message.remaining -= answered
        if not message.remaining:
            self._free_place(message.key)

    def _free_place(self, key: Key) -> None:
        """A message has all its answers: what waits for its place may go."""
        self._pending.answered(key)
        self._dirty[key] = None
        self._wake()


def _envelope(key: Key, items: Sequence[HopItem], now: float) -> bytes:
    envelope = envelope_pb2.Envelope(model=key[0], version=key[1])
    add = envelope.items.add
    pieces: list[bytes] = []
    for item in items:
        request, payload = item.request, item.payload
        large = len(payload) > LARGE_BYTES
        made = (envelope_pb2.Item if large else add)(
            id=item.number,
            remaining_ms=min(max(0, int((request.deadline - now) * 1000)), _MAX_MS),
            payload=b"" if large else payload,
            request_id=request.request_id,
        )
        if item.traceparent:
            made.traceparent = item.traceparent
        if request.priority:
            made.priority = request.priority
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
