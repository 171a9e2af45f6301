"""One endpoint of a stage: the way to it, how quick it is, and whether it is trusted with calls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter
from typing import Protocol, TypeVar

from trireme_common.errors import TriremeError
from trireme_common.lacking import Lacking
from trireme_common.orders import Order
from trireme_common.stage_state import StageState
from trireme_common.stage_stream import cancel_and_wait
from trireme_gateway.hop.answer_times import EndpointPace
from trireme_gateway.hop.calls import HopCall, Leg
from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.outlier import Outlier, OutlierPolicy
from trireme_gateway.hop.ports import HopItem, Key


class Work(Protocol):
    """What is under way at an endpoint."""

    @property
    def outstanding(self) -> int:
        """Items not yet answered."""

    @property
    def legs(self) -> Collection[Leg]:
        """Legs that are not answered in full, oldest first."""

    @property
    def sent(self) -> int:
        """Items sent so far."""

    def add(self, leg: Leg) -> None: ...

    def drop(self, leg: Leg) -> None:
        """Takes a leg back; what was sent of it is cancelled."""

    def withdraw(self, leg: Leg, items: Sequence[HopItem]) -> None:
        """Takes some items of a leg back, of which others are left."""


class Way(Protocol):
    """How legs get to an endpoint and its state comes back: a stream, or plain calls."""

    @property
    def state(self) -> StageState | None:
        """What the endpoint said last; None while there is no connection."""

    @property
    def exchange(self) -> Work: ...

    @property
    def usable(self) -> bool:
        """Whether it is connected and not about to leave."""

    def serves(self, key: Key) -> bool: ...

    def tell(self, orders: Sequence[Order]) -> None:
        """Hands orders to the endpoint."""

    def tell_lacking(self, versions: Lacking) -> None:
        """Says which versions other stages lack."""

    async def run(self) -> None:
        """Keeps the way open until cancelled."""


class EndpointOwner(Protocol):
    """The stage's client, which knows the other endpoints."""

    @property
    def learning(self) -> Learning: ...

    def finished(self, legs: Sequence[Leg], now: float) -> None: ...

    def changed(self, endpoint: Endpoint) -> None: ...

    def broke(self, endpoint: Endpoint, legs: list[Leg], error: TriremeError | None) -> None: ...


class Endpoint:
    """Carrier of legs, and listener of the way to it."""

    def __init__(self, address: str, connect: Connect, policy: OutlierPolicy, owner: EndpointOwner) -> None:
        self.address = address
        self.name = address
        """The address of the settings by which it was found."""
        self.outlier = Outlier(policy)
        self.pace = EndpointPace()
        self.weight = 1.0
        """What its work counts for where endpoints are compared."""
        self.leaving = False
        """Whether its address is no longer among the stage's."""
        self.learning = owner.learning
        self.stream = connect(address, self)
        self.exchange = self.stream.exchange
        self._owner = owner
        self._quiet_since = 0.0
        self._spoke_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self.stream.run())

    async def close(self) -> None:
        if self._task is not None:
            await cancel_and_wait(self._task)

    @property
    def state(self) -> StageState | None:
        """What it said last; None while there is no connection."""
        return self.stream.state

    def tell(self, orders: Sequence[Order]) -> None:
        self.stream.tell(orders)

    def tell_lacking(self, versions: Lacking) -> None:
        self.stream.tell_lacking(versions)

    @property
    def usable(self) -> bool:
        return self.stream.usable and not self.leaving

    def serves(self, key: Key) -> bool:
        """Whether a call of that version may be sent here."""
        return not self.leaving and self.stream.serves(key)

    @property
    def legs(self) -> Sequence[Leg]:
        """Those that are not answered in full."""
        return tuple(self.exchange.legs)

    @property
    def items_sent(self) -> int:
        return self.exchange.sent

    @property
    def load(self) -> float:
        """What one more item would wait for, by comparison."""
        return (self.exchange.outstanding + 1) * self.weight

    def send(self, call: HopCall, items: Sequence[HopItem], now: float) -> Leg:
        """Takes some items of a call."""
        leg = Leg(call, items, self, now)
        call.legs.append(leg)
        call.tried.append(self)
        if not self.exchange.outstanding:
            self._quiet_since = now
        self.exchange.add(leg)
        return leg

    def drop(self, leg: Leg, now: float) -> None:
        """As `Carrier.drop`; the call was answered elsewhere, or nobody waits for it any more."""
        self._gave_up(leg, now)
        self.exchange.drop(leg)

    def withdraw(self, leg: Leg, items: Sequence[HopItem], now: float) -> None:
        """As `Carrier.withdraw`."""
        self._gave_up(leg, now)
        self.exchange.withdraw(leg, items)

    def _gave_up(self, leg: Leg, now: float) -> None:
        """Something of a leg is waited for no more."""
        if leg.sent:
            waited = now - leg.started
            self.pace.gave_up(waited, now)
            if self._spoke_at < leg.started and waited >= leg.call.patience:
                self.outlier.ignored(leg.started)

    def probe(self, now: float) -> None:
        """The next call is risked although the endpoint is ejected."""
        self.outlier.probe(now)
        self._quiet_since = now

    def silent_for(self, now: float) -> float:
        """Seconds that it has had work and said nothing."""
        return now - self._quiet_since if self.exchange.outstanding else 0.0

    def spoke(self, now: float) -> None:
        self._quiet_since = self._spoke_at = now
        was_out = self.outlier.ejected
        self.outlier.spoke()
        if was_out and not self.outlier.ejected:
            self._owner.changed(self)

    def finished(self, legs: Sequence[Leg], now: float) -> None:
        """What shares a message shares its time: the one that waited longest speaks for all."""
        sound = [leg for leg in legs if leg.sound]
        for _ in range(len(legs) - len(sound)):
            self.outlier.failed()
        if sound:
            self.pace.answered(now - min([leg.started for leg in sound]), now)
            was_out = self.outlier.ejected
            self.outlier.answered()
            if was_out:
                self._owner.changed(self)
        self._owner.finished(legs, now)

    def changed(self) -> None:
        if self.stream.state is None:
            self.pace = EndpointPace()  # whoever answers there next may be quicker
        self._owner.changed(self)

    def broke(self, legs: list[Leg], error: TriremeError | None = None) -> None:
        self.outlier.failed()
        self._owner.broke(self, legs, error)


Connect = Callable[[str, Endpoint], Way]
"""Makes the way to an address, which tells the endpoint what comes of it."""


E = TypeVar("E")


def least_loaded(
    endpoints: Sequence[E],
    load: Callable[[E], float] = attrgetter("load"),
    choice: Callable[[Sequence[E]], E] = random.choice,
) -> E:
    """The endpoint with the least load; among equals, chance decides."""
    if len(endpoints) == 1:
        return endpoints[0]
    best: list[E] = []
    least = float("inf")
    for endpoint in endpoints:
        found = load(endpoint)
        if found < least:
            best, least = [endpoint], found
        elif found == least:
            best.append(endpoint)
    return best[0] if len(best) == 1 else choice(best)
