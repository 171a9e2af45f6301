"""Calls and their legs without a network: who sends them, and endpoints that a test directs."""

from __future__ import annotations

import time
from collections.abc import Sequence

from trireme_gateway.hop.calls import Carrier, HopCall, Leg
from trireme_gateway.hop.exchange import Exchange
from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import HopItem, HopRequest, Key, NoObserver
from trireme_protos.trireme.v1 import envelope_pb2

KEY = ("echo", "1")


def items_of(
    *payloads: bytes, request_id: str = "r", seconds: float = 30.0, priority: int = 0, traceparent: str = ""
) -> list[HopItem]:
    """The items of one request."""
    request = HopRequest(request_id, time.monotonic() + seconds, priority)
    items = [HopItem(request, payload) for payload in payloads]
    for item in items:
        item.traceparent = traceparent
    return items


class Sender:
    """Owner and taker of calls, which remembers what it was told, and in which order."""

    def __init__(self) -> None:
        self.taken: list[list[HopItem]] = []
        self.ended: list[HopCall] = []
        self.told: list[str] = []

    def call(self, items: Sequence[HopItem], key: Key = KEY) -> HopCall:
        return HopCall(key, items, self, self)

    def took(self, items: Sequence[HopItem], now: float) -> None:
        self.taken.append(list(items))
        self.told.append("took")

    def over(self, call: HopCall, now: float) -> None:
        for leg in call.legs:
            leg.carrier.drop(leg, now)
        call.legs.clear()
        self.ended.append(call)
        self.told.append("over")


def leg_of(call: HopCall, carrier: Carrier, items: Sequence[HopItem] | None = None) -> Leg:
    """A leg of a call, of all that it has no outcome of unless `items` are named."""
    leg = Leg(call, call.missing() if items is None else items, carrier, 0.0)
    call.legs.append(leg)
    return leg


class SentNowhere:
    """Carrier that remembers what was taken back."""

    def __init__(self) -> None:
        self.dropped: list[Leg] = []
        self.withdrawn: list[HopItem] = []

    def drop(self, leg: Leg, now: float) -> None:
        self.dropped.append(leg)

    def withdraw(self, leg: Leg, items: Sequence[HopItem], now: float) -> None:
        self.withdrawn += items
        leg.remaining -= len(items)


class OverExchange:
    """Carrier of the legs that an exchange has."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def drop(self, leg: Leg, now: float) -> None:
        self._exchange.drop(leg)

    def withdraw(self, leg: Leg, items: Sequence[HopItem], now: float) -> None:
        self._exchange.withdraw(leg, items)


class MessageSizes(NoObserver):
    def __init__(self) -> None:
        self.sizes: list[int] = []

    def wrote_message(self, items: int) -> None:
        self.sizes.append(items)


class Wire:
    """An exchange of which a test reads every message, and answers it."""

    def __init__(self, *, max_items: int = 64, coalesce: bool = True) -> None:
        def pending() -> Pending:
            return Pending(max_in_flight=1, max_items=max_items, coalesce=coalesce)

        self.observer = MessageSizes()
        self.learning = Learning(OutlierPolicy())
        self.finished: list[Leg] = []
        self.woken = 0
        self.exchange = Exchange(
            "inference",
            pending,
            self.learning,
            self.observer,
            write=self._wake,
            wake=self._wake,
            finished=self._on_finished,
        )

    def send(self, call: HopCall, items: Sequence[HopItem] | None = None) -> Leg:
        leg = leg_of(call, OverExchange(self.exchange), items)
        self.exchange.add(leg)
        return leg

    def read(self) -> list[envelope_pb2.Envelope]:
        """What the exchange writes now."""
        return [envelope_pb2.Envelope.FromString(message) for message in self.exchange.messages()]

    def say(self, *results: envelope_pb2.Result) -> None:
        """One message of the endpoint."""
        self.exchange.receive(results, 1.0)

    def answer(self, *messages: envelope_pb2.Envelope) -> None:
        """Answers every item of these with its payload in capitals, in one message."""
        self.say(
            *(
                envelope_pb2.Result(id=item.id, payload=item.payload.upper(), queue_us=3, compute_us=4)
                for message in messages
                for item in message.items
            )
        )

    def _wake(self) -> None:
        self.woken += 1

    def _on_finished(self, legs: Sequence[Leg], now: float) -> None:
        for leg in legs:
            leg.call.legs.remove(leg)
        self.finished += legs
