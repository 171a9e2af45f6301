"""The persistent bidirectional stream to one endpoint of a stage.

One task writes and one reads: `wait_for` around a read or write cancels the call, and concurrent
writes kill it. A stream that breaks hands its unanswered legs to its listener and is opened again
with jittered back-off. A peer that does not answer HTTP/2 pings is taken for gone after two seconds,
whatever its sockets look like.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import grpc
import grpc.aio
import structlog

from trireme_common.grpc_server import MAX_MESSAGE_BYTES
from trireme_common.orders import Order, encode_orders
from trireme_common.stage_state import StageState, decode_state
from trireme_gateway.hop.backoff import Backoff
from trireme_gateway.hop.calls import Key, Leg
from trireme_gateway.hop.exchange import Exchange
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import HopObserver
from trireme_protos.trireme.v1 import envelope_pb2

logger = structlog.get_logger(__name__)

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 1_000),
    ("grpc.keepalive_timeout_ms", 1_000),
    # Without this one, data that waits to be written keeps the keepalive from being noticed.
    ("grpc.http2.ping_timeout_ms", 1_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # Also the time that a connection attempt may take.
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Channels to the same address must not share a connection, or they would share its fate.
    ("grpc.use_local_subchannel_pool", 1),
)


class StreamListener(Protocol):
    """Who owns the stream."""

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
        self._wake = asyncio.Event()
        self.exchange = Exchange(stage, pending, observer, wake=self._wake.set, finished=listener.finished)

    @property
    def usable(self) -> bool:
        return self.state is not None and not self.state.draining

    def serves(self, key: Key) -> bool:
        """Whether the endpoint has that version, ready or about to be unloaded."""
        return self.usable and key in self._serving

    def tell(self, orders: Sequence[Order]) -> None:
        """Hands orders to the endpoint."""
        self.exchange.post(envelope_pb2.Envelope(orders=encode_orders(orders)).SerializeToString())

    async def run(self) -> None:
        """Keeps the stream open until cancelled."""
        backoff = Backoff()
        while True:
            started = time.monotonic()
            async with grpc.aio.insecure_channel(self.address, options=_OPTIONS) as channel:
                try:
                    await self._serve(channel)
                except grpc.aio.AioRpcError as error:
                    logger.debug(
                        "stream_ended", stage=self._stage, endpoint=self.address, reason=error.details()
                    )
                except Exception as error:  # what one endpoint sends must not end the way to it for good
                    kind = type(error).__name__
                    logger.error("stream_failed", stage=self._stage, endpoint=self.address, kind=kind)
                finally:
                    self._break()
            await asyncio.sleep(backoff.after(time.monotonic() - started))

    async def _serve(self, channel: grpc.aio.Channel) -> None:
        open_stream: Any = channel.stream_stream(self._method, None, None)  # raw bytes both ways
        call = open_stream(wait_for_ready=False)
        reader = asyncio.create_task(self._read_all(call))
        writer = asyncio.create_task(self._write_all(call))
        try:
            done, _ = await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if reader not in done and not writer.cancelled() and writer.exception() is None:
                await asyncio.wait((reader,))  # nothing more to say; the endpoint ends the stream
                done = {reader}
            for task in done:
                if not task.cancelled():
                    task.result()
        finally:
            call.cancel()
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _read_all(self, stream: Any) -> None:
        while data := await stream.read():  # EOF is falsy, and a Reply is never empty
            reply = envelope_pb2.Reply.FromString(data)
            now = time.monotonic()
            self._listener.spoke(now)
            self.exchange.receive(reply.results, now)
            if reply.HasField("state"):
                self._set_state(decode_state(reply.state))

    async def _write_all(self, stream: Any) -> None:
        """Writes what waits, until the endpoint drains and has answered everything."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self.state is None:
                continue  # the endpoint's first word, its state, is still to come
            for message in self.exchange.messages():
                await stream.write(message)
            if self.state is not None and self.state.draining and not self.exchange.outstanding:
                await stream.done_writing()
                return

    def _set_state(self, state: StageState | None) -> None:
        self.state = state
        models = () if state is None else state.models
        self._serving = frozenset(
            (model.name, model.version) for model in models if model.descriptor is not None
        )
        self._listener.changed()
        self._wake.set()

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
