"""What the gateway tells endpoints: orders, which it learns from endpoints and hands to those that lack them,
and to inference which versions the other stages lack.

Every replica of every stage so comes to know every order as long as one process that knows it runs; where
nothing but a gateway is left, or a replica comes new, the order comes back from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from trireme_common.errors import Code, TriremeError
from trireme_common.lacking import Lacking
from trireme_common.orders import Ledger, Order
from trireme_common.stage_state import StageState
from trireme_gateway.catalog import INFERENCE


class Replica(Protocol):
    """An endpoint of a stage."""

    @property
    def address(self) -> str: ...

    @property
    def state(self) -> StageState | None: ...

    def tell(self, orders: Sequence[Order]) -> None: ...

    def tell_lacking(self, versions: Lacking) -> None: ...


Fleet = Callable[[], Mapping[str, Sequence[Replica]]]
"""The connected endpoints of every stage."""


class OrderDesk:
    """One gateway's ledger. `look` is to be called whenever an endpoint says something new."""

    def __init__(
        self,
        fleet: Fleet = dict,
        *,
        clock: Callable[[], float] = time.monotonic,
        ledger: Ledger | None = None,
    ) -> None:
        """`clock`: seconds, as deadlines are."""
        self._fleet = fleet
        self._clock = clock
        self.ledger = ledger if ledger is not None else Ledger()
        self._models: set[str] = set()
        self._told: dict[Replica, list[Order]] = {}
        self._told_lacking: dict[Replica, Lacking] = {}
        self._caught_up: set[Replica] = set()
        self._looked = asyncio.Event()

    def replicas(self, stage: str) -> Sequence[Replica]:
        return self._fleet().get(stage, ())

    def learn(self, orders: Iterable[Order]) -> None:
        """Takes over orders from elsewhere; the next `look` hands them on."""
        self.ledger.merge(order for order in orders if not self.ledger.outlived(order, self._models))

    def look(self) -> dict[str, list[StageState]]:
        """Learns what the endpoints know, tells each what it lacks. Returns their states as they count."""
        fleet = self._fleet()
        replicas = [replica for found in fleet.values() for replica in found]
        self._models = {model.name for replica in replicas for model in _state(replica).models}
        for replica in replicas:
            self.learn(_state(replica).orders)
        self.ledger.forget(self._models)
        self._told = {replica: told for replica, told in self._told.items() if replica in replicas}
        self._caught_up.intersection_update(replicas)
        states = {stage: [self._counted(replica) for replica in found] for stage, found in fleet.items()}
        self._looked.set()
        self._looked = asyncio.Event()
        return states

    def tell_lacking(self, versions: Lacking | None) -> None:
        """Tells every endpoint of inference, once, what the other stages lack; None is not known now."""
        if versions is None:
            return
        before = self._told_lacking
        self._told_lacking = dict.fromkeys(self.replicas(INFERENCE), versions)
        for replica in self._told_lacking:
            if before.get(replica) != versions:
                replica.tell_lacking(versions)

    async def carried_out(self, order: Order, deadline: float) -> None:
        """Waits until every endpoint has carried out `order`, or one that supersedes it.

        Raises TriremeError(DEADLINE_EXCEEDED) naming those that have not; the order stands all the same.
        """
        while lacking := [
            f"{stage} {replica.address}"
            for stage, found in self._fleet().items()
            for replica in found
            if Ledger(_state(replica).orders).lacks(order)
        ]:
            try:
                async with asyncio.timeout(deadline - self._clock()):
                    await self._looked.wait()
            except TimeoutError:
                raise TriremeError(
                    Code.DEADLINE_EXCEEDED,
                    f"not carried out in time at {', '.join(lacking)}; the order stands and is carried out "
                    "as soon as that is possible",
                ) from None

    def _counted(self, replica: Replica) -> StageState:
        """What of an endpoint's state counts. One that has just come may show what an order it has not heard
        of keeps away: a version that was rolled back, a model that was unloaded."""
        state = _state(replica)
        missing = self.ledger.missing_from(state.orders)
        if missing and self._told.get(replica) != missing:
            self._told[replica] = missing
            replica.tell(missing)
        if not missing:
            self._caught_up.add(replica)
        if replica in self._caught_up:
            return state
        held_back = {order.model: order.version for order in missing if not order.lifts}
        return replace(
            state,
            models=tuple(
                model
                for model in state.models
                if model.name not in held_back or model.version == held_back[model.name]
            ),
        )


def _state(replica: Replica) -> StageState:
    return replica.state or StageState()
