"""The persistent bidirectional stream to one endpoint of a stage.

What the endpoint says is worked on in the event loop's own read callback, and what waits is written in
its next round. A stream that breaks hands its unanswered legs to its listener and is opened again with
jittered back-off. A peer that does not answer HTTP/2 pings is taken for gone after two seconds, whatever
its sockets look like.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from trireme_common.grpc_server import MAX_MESSAGE_BYTES
from trireme_common.http2.client import ClientStream
from trireme_common.http2.connection import StreamEnd
from trireme_common.http2.keepalive import Patience
from trireme_common.lacking import Lacking, encode_lacking
from trireme_common.orders import Order, encode_orders
from trireme_common.stage_state import StageState, decode_state
from trireme_gateway.hop.backoff import Backoff
from trireme_gateway.hop.calls import Leg
from trireme_gateway.hop.exchange import Exchange
from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import HopObserver, Key
from trireme_protos.trireme.v1 import envelope_pb2

logger = structlog.get_logger(__name__)

_PATIENCE = Patience(idle_seconds=1.0, answer_seconds=1.0)
_CONNECT_SECONDS = 0.5


class StreamListener(Protocol):
    """Who owns the stream."""

    @property
    def learning(self) -> Learning:
        """What the stage's answers have taught."""

    def spoke(self, now: float) -> None:
        """The endpoint said something."""

    def finished(self, legs: Sequence[Leg], now: float) -> None:
        """Legs that have all their answers since the last message, in the order of their answers."""

    def changed(self) -> None:
        """The endpoint's state is another one."""

    def broke(self, legs: list[Leg]) -> None:
        """The endpoint went away, and these legs with it."""


def by_stream(
    stage: str, method: str, pending: Callable[[], Pending], observer: HopObserver
) -> Callable[[str, StreamListener], EndpointStream]:
    """Makes the streams of one stage."""

    def connect(address: str, listener: StreamListener) -> EndpointStream:
        return EndpointStream(stage, address, method, pending, observer, listener)

    return connect


class EndpointStream:
    """Carries legs to one endpoint and learns its state. `run` keeps the stream open."""

    def __init__(
        self,
        stage: str,
        address: str,
        method: str,
        pending: Callable[[], Pending],
        observer: HopObserver,
        listener: StreamListener,
    ) -> None:
        self.address = address
        self.state: StageState | None = None
        """What the endpoint said last; None while there is no connection."""
        self._serving: frozenset[Key] = frozenset()
        self._stage = stage
        self._method = method
        self._listener = listener
        self._connection: ClientStream | None = None
        self._ended: asyncio.Future[StreamEnd] | None = None
        self._scheduled = False
        self.exchange = Exchange(
            stage,
            pending,
            listener.learning,
            observer,
            write=self._write,
            wake=self._wake,
            finished=listener.finished,
        )

    @property
    def usable(self) -> bool:
        return self.state is not None and not self.state.draining

    def serves(self, key: Key) -> bool:
        """Whether the endpoint has that version, ready or about to be unloaded."""
        return self.usable and key in self._serving

    def tell(self, orders: Sequence[Order]) -> None:
        """Hands orders to the endpoint."""
        self.exchange.post(envelope_pb2.Envelope(orders=encode_orders(orders)).SerializeToString())

    def tell_lacking(self, versions: Lacking) -> None:
        """Says which versions other stages lack."""
        self.exchange.post(envelope_pb2.Envelope(lacking=encode_lacking(versions)).SerializeToString())

    async def run(self) -> None:
        """Keeps the stream open until cancelled."""
        backoff = Backoff()
        while True:
            started = time.monotonic()
            try:
                end = await self._serve()
                logger.debug("stream_ended", stage=self._stage, endpoint=self.address, reason=end.detail)
            except OSError as error:
                logger.debug("stream_ended", stage=self._stage, endpoint=self.address, reason=str(error))
            except Exception as error:  # what one endpoint sends must not end the way to it for good
                kind = type(error).__name__
                logger.error("stream_failed", stage=self._stage, endpoint=self.address, kind=kind)
            finally:
                self._break()
            await asyncio.sleep(backoff.after(time.monotonic() - started))

    async def _serve(self) -> StreamEnd:
        """Opens the stream; returns how it ended. Raises OSError, or what was wrong with a message."""
        self._ended = asyncio.get_running_loop().create_future()
        self._connection = connection = ClientStream(
            self.address, self._method, self, _PATIENCE, MAX_MESSAGE_BYTES
        )
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await connection.open()
            return await self._ended
        finally:
            self._connection = None
            connection.abort()

    # StreamOwner

    def message_received(self, message: bytes) -> None:
        if self._connection is None:
            return  # it has been given up
        try:
            self._receive(envelope_pb2.Reply.FromString(message))
        except Exception as error:
            self._end(error)

    def reading_ended(self) -> None:
        """A server ends a stream with a status, and with nothing before it."""

    def writing_resumed(self) -> None:
        self._wake()

    def stream_closed(self, end: StreamEnd) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(end)

    def _end(self, error: Exception) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _receive(self, reply: envelope_pb2.Reply) -> None:
        now = time.monotonic()
        self._listener.spoke(now)
        self.exchange.receive(reply.results, now)
        if reply.HasField("state"):
            self._set_state(decode_state(reply.state))

    def _wake(self) -> None:
        """Writes in the loop's next round, together with what comes until then."""
        if not self._scheduled and self._connection is not None:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._awake)

    def _awake(self) -> None:
        self._scheduled = False
        self._write()

    def _write(self) -> None:
        """Writes what waits, until the endpoint drains and has answered everything."""
        connection, state = self._connection, self.state
        if connection is None or state is None or not connection.writable:
            return  # the endpoint's first word, its state, is still to come, or it takes nothing now
        try:
            for message in self.exchange.messages():
                connection.send(message)
        except Exception as error:
            self._end(error)
            return
        if state.draining and not self.exchange.outstanding:
            connection.end_writing()

    def _set_state(self, state: StageState | None) -> None:
        self.state = state
        models = () if state is None else state.models
        described = {(model.name, model.version): model.descriptor for model in models if model.descriptor}
        self._serving = frozenset(described)
        self.exchange.at_once = frozenset(key for key, found in described.items() if found.at_once)
        self._listener.changed()
        self._wake()

    def _break(self) -> None:
        """Hands over what is unanswered and starts afresh."""
        legs = self.exchange.clear()
        if self.state is not None:
            if legs or self.usable:
                logger.warning(
                    "endpoint_lost", stage=self._stage, endpoint=self.address, unanswered=len(legs)
                )
            self._set_state(None)
        if legs:
            self._listener.broke(legs)
