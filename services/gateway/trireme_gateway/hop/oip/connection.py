"""The way to one foreign server, in the place of the stream to one of our endpoints.

The server is asked every second what it has ready. One that does not answer three times, or whose connection
is found broken, hands its unanswered legs to its listener, and is connected to again with jittered back-off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.lacking import Lacking
from trireme_common.orders import Ledger, Order
from trireme_common.stage_state import StageState
from trireme_gateway.hop.backoff import Backoff
from trireme_gateway.hop.calls import Leg
from trireme_gateway.hop.oip.channel import open_server
from trireme_gateway.hop.oip.exchange import ServerCalls
from trireme_gateway.hop.oip.models import Served, ServerModels
from trireme_gateway.hop.oip.ports import OpenServer, Server, ServerAwayError, Wanted
from trireme_gateway.hop.ports import HopObserver, Key

logger = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
MOST_MISSES = 3
"""Looks in a row that a server may leave unanswered, each for five seconds."""


class ConnectionListener(Protocol):
    """Who owns the connection; as `hop.stream.StreamListener`."""

    def spoke(self, now: float) -> None: ...

    def finished(self, legs: Sequence[Leg], now: float) -> None: ...

    def changed(self) -> None: ...

    def broke(self, legs: list[Leg], error: TriremeError | None = None) -> None:
        """As there; `error` is what these legs fail with where no other server can be asked."""


def by_calls(
    stage: str, wanted: Wanted, observer: HopObserver, open_server: OpenServer = open_server
) -> Callable[[str, ConnectionListener], ServerConnection]:
    """Makes the connections to foreign servers in the place of a stage. `wanted`: what the repository has."""

    def connect(address: str, listener: ConnectionListener) -> ServerConnection:
        return ServerConnection(stage, address, open_server, wanted, observer, listener)

    return connect


class ServerConnection:
    """Carries legs to one server and learns its state. `run` keeps the connection open.

    Orders are carried out by the gateway, which routes as they say: the server hears nothing of them.
    """

    def __init__(
        self,
        stage: str,
        address: str,
        open_server: OpenServer,
        wanted: Wanted,
        observer: HopObserver,
        listener: ConnectionListener,
    ) -> None:
        self.address = address
        self.state: StageState | None = None
        """What the server is known to have; None while there is no connection."""
        self.exchange = ServerCalls(stage, self, observer, self)
        self._stage = stage
        self._open = open_server
        self._wanted = wanted
        self._listener = listener
        self._orders = Ledger()
        self._gone = asyncio.Event()
        self._server: Server | None = None
        self._models: ServerModels | None = None
        self._serving: frozenset[Key] = frozenset()

    @property
    def usable(self) -> bool:
        return self.state is not None and not self.state.draining

    def serves(self, key: Key) -> bool:
        """Whether the server has that version ready."""
        return self.usable and key in self._serving

    def tell(self, orders: Sequence[Order]) -> None:
        """Takes orders for carried out."""
        self._orders.merge(orders)
        asyncio.get_running_loop().call_soon(self._note_orders)  # the caller is still looking at the state

    def tell_lacking(self, versions: Lacking) -> None:
        """Which versions the server serves is its own affair."""

    async def run(self) -> None:
        """Keeps the connection open until cancelled."""
        backoff = Backoff()
        while True:
            started = time.monotonic()
            async with self._open(self.address) as server:
                try:
                    await self._watch(server)
                except TriremeError as error:
                    logger.debug("server_lost", stage=self._stage, endpoint=self.address, reason=error.detail)
                except Exception as error:  # what one server says must not end the way to it for good
                    kind = type(error).__name__
                    logger.error("server_failed", stage=self._stage, endpoint=self.address, kind=kind)
                finally:
                    self._break()
            await asyncio.sleep(backoff.after(time.monotonic() - started))

    async def _watch(self, server: Server) -> None:
        """Looks at the server until it is gone. Raises TriremeError where a look finds that it is."""
        self._gone.clear()
        models = ServerModels(server, self._wanted)
        misses = 0
        while not self._gone.is_set():
            try:
                found = await models.look()
            except TriremeError as error:
                misses += 1
                late = error.code is Code.DEADLINE_EXCEEDED
                if not late or self.state is None or misses == MOST_MISSES:
                    raise
                continue  # it may be at work and not get to it
            misses = 0
            if self._gone.is_set():
                return
            self._server, self._models = server, models
            self._set_state(replace(found, orders=tuple(self._orders)))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._gone.wait()

    # As the server of the calls

    def served(self, key: Key) -> Served:
        found = self._models.served.get(key) if self._models is not None else None
        return found or Served(key[1], 0)

    async def infer(self, message: bytes, seconds: float, traceparent: str) -> bytes:
        if self._server is None:
            raise ServerAwayError("the inference server is not connected")
        return await self._server.infer(message, seconds, traceparent)

    # As the listener of the calls

    def spoke(self, now: float) -> None:
        self._listener.spoke(now)

    def finished(self, legs: Sequence[Leg], now: float) -> None:
        self._listener.finished(legs, now)

    def away(self, leg: Leg, error: ServerAwayError) -> None:
        """A refusal is this leg's alone; without a connection all that is under way is lost."""
        if self._server is not None and self._server.connected:
            self._listener.broke([leg], error)
            return
        self._gone.set()
        self._break(leg)

    def _note_orders(self) -> None:
        if self.state is not None:
            self._set_state(replace(self.state, orders=tuple(self._orders)))

    def _set_state(self, state: StageState | None) -> None:
        if state == self.state:
            return
        if self.state is None:
            self._listener.spoke(time.monotonic())
        self.state = state
        models = () if state is None else state.models
        self._serving = frozenset(
            (model.name, model.version) for model in models if model.descriptor is not None
        )
        self._listener.changed()

    def _break(self, *lost: Leg) -> None:
        """Hands over what is unanswered and starts afresh."""
        legs = [*lost, *self.exchange.clear()]
        self._server = self._models = None
        if self.state is not None:
            if legs or self.usable:
                logger.warning(
                    "endpoint_lost", stage=self._stage, endpoint=self.address, unanswered=len(legs)
                )
            self._set_state(None)
        if legs:
            self._listener.broke(legs)
