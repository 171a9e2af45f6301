"""The persistent bidirectional stream to one endpoint of a stage.

One task writes and one reads: `wait_for` around a read or write cancels the call, and concurrent
writes kill it. A stream that breaks fails its unanswered calls with `StreamBrokenError`, so that
the caller may try another endpoint, and is opened again with jittered back-off.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.grpc_server import MAX_MESSAGE_BYTES
from trireme_common.stage_state import StageState, decode_state
from trireme_common.stage_stream import MAX_PAYLOAD_BYTES, in_messages
from trireme_gateway.hop.pending import Call, Key, Pending
from trireme_gateway.hop.ports import HopAnswer
from trireme_protos.trireme.v1 import envelope_pb2

logger = structlog.get_logger(__name__)

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Channels to the same address must not share a connection, or they would share its fate.
    ("grpc.use_local_subchannel_pool", 1),
)
_BACKOFF_SECONDS = (0.05, 0.6)  # with its jitter under a second, so that an endpoint is missed no longer
_MAX_MS = 2**32 - 1
_CODES = frozenset(code.value for code in Code)


class StreamBrokenError(TriremeError):
    """The endpoint went away with the call unanswered; another endpoint may be asked."""

    def __init__(self, stage: str) -> None:
        super().__init__(Code.BACKEND_UNAVAILABLE, f"the connection to {stage} broke")


class _Sent:
    """A call under way: what its items answered so far."""

    __slots__ = ("call", "compute_us", "future", "message", "outcomes", "queue_us", "remaining")

    def __init__(self, call: Call, future: asyncio.Future[HopAnswer]) -> None:
        self.call = call
        self.future = future
        self.outcomes: list[Any] = [None] * len(call.payloads)
        self.remaining = len(call.payloads)
        self.queue_us = 0
        self.compute_us = 0
        self.message: _Message | None = None


class _Message:
    """A message under way: how many of its items are unanswered."""

    __slots__ = ("key", "remaining")

    def __init__(self, key: Key, remaining: int) -> None:
        self.key = key
        self.remaining = remaining


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


def _too_large(stage: str) -> TriremeError:
    return TriremeError(
        Code.PAYLOAD_TOO_LARGE, f"the item takes more than {MAX_PAYLOAD_BYTES} bytes on its way to {stage}"
    )


class EndpointStream:
    """Sends calls to one endpoint and learns its state. `run` keeps the stream open."""

    def __init__(
        self,
        stage: str,
        address: str,
        method: str,
        pending: Callable[[], Pending],
        on_change: Callable[[], None],
    ) -> None:
        self.address = address
        self.state: StageState | None = None
        """What the endpoint said last; None while there is no connection."""
        self.outstanding = 0
        """Items sent or waiting and not yet answered."""
        self._stage = stage
        self._method = method
        self._new_pending = pending
        self._pending = pending()
        self._on_change = on_change
        self._calls: dict[Call, _Sent] = {}
        self._by_id: dict[int, _Sent] = {}
        self._next_id = 1
        self._cancels: list[int] = []
        self._dirty: dict[Key, None] = {}
        self._wake = asyncio.Event()

    @property
    def usable(self) -> bool:
        return self.state is not None and not self.state.draining

    def serves(self, key: Key) -> bool:
        """Whether the endpoint has that version, ready or about to be unloaded."""
        return self.usable and key in self._serving

    async def call(self, key: Key, payloads: list[bytes], deadline: float, request_id: str) -> HopAnswer:
        """Sends the payloads and waits for all their answers; leaving early cancels them."""
        call = Call(key, self._next_id, payloads, deadline, request_id)
        self._next_id += len(payloads)
        future: asyncio.Future[HopAnswer] = asyncio.get_running_loop().create_future()
        self._calls[call] = _Sent(call, future)
        self.outstanding += len(payloads)
        self._pending.add(call)
        self._mark(key)
        try:
            return await future
        finally:
            if call in self._calls:
                self._abandon(call)

    def _mark(self, key: Key) -> None:
        self._dirty[key] = None
        self._wake.set()

    def _abandon(self, call: Call) -> None:
        sent = self._calls.pop(call)
        self.outstanding -= sent.remaining
        if self._pending.discard(call):
            return
        for position in range(len(call.payloads)):
            if self._by_id.pop(call.first_id + position, None) is not None:
                self._cancels.append(call.first_id + position)
        if sent.message is not None:
            self._settle(sent.message, sent.remaining)
        self._wake.set()

    async def run(self) -> None:
        """Keeps the stream open until cancelled."""
        backoff = _BACKOFF_SECONDS[0]
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
            if time.monotonic() - started > 5.0:
                backoff = _BACKOFF_SECONDS[0]
            await asyncio.sleep(backoff * random.uniform(0.5, 1.5))
            backoff = min(backoff * 2, _BACKOFF_SECONDS[1])

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
            self._receive(envelope_pb2.Reply.FromString(data))

    async def _write_all(self, stream: Any) -> None:
        """Writes what waits, until the endpoint drains and has answered everything."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self.state is None:
                continue  # the endpoint's first word, its state, is still to come
            keys, self._dirty = self._dirty, {}
            for key in keys:
                while calls := self._pending.take(key):
                    for envelope in self._envelopes(key, calls):
                        await stream.write(envelope)
            if self._cancels:
                cancels, self._cancels = self._cancels, []
                await stream.write(envelope_pb2.Envelope(cancels=cancels).SerializeToString())
            if self.state is not None and self.state.draining and not self.outstanding:
                await stream.done_writing()
                return

    def _envelopes(self, key: Key, calls: list[Call]) -> list[bytes]:
        """The items of `calls`, in as many envelopes as the limits of a message ask for."""
        message = _Message(key, 0)
        items: list[envelope_pb2.Item] = []
        refused: list[int] = []
        now = time.monotonic()
        for call in calls:
            sent = self._calls[call]
            sent.message = message
            message.remaining += len(call.payloads)
            remaining_ms = min(max(0, int((call.deadline - now) * 1000)), _MAX_MS)
            for position, payload in enumerate(call.payloads):
                number = call.first_id + position
                self._by_id[number] = sent
                if len(payload) > MAX_PAYLOAD_BYTES:
                    refused.append(number)
                    continue
                items.append(
                    envelope_pb2.Item(
                        id=number, remaining_ms=remaining_ms, payload=payload, request_id=call.request_id
                    )
                )
        for number in refused:
            self._take(self._by_id.pop(number), number, _too_large(self._stage), 0, 0)
        return [
            envelope_pb2.Envelope(model=key[0], version=key[1], items=part).SerializeToString()
            for part in in_messages(items, self._pending.message_items)
        ]

    def _receive(self, reply: envelope_pb2.Reply) -> None:
        for result in reply.results:
            sent = self._by_id.pop(result.id, None)
            if sent is None:
                continue  # the caller left
            self._take(sent, result.id, _outcome(result), result.queue_us, result.compute_us)
        if reply.HasField("state"):
            self._set_state(decode_state(reply.state))

    def _take(
        self, sent: _Sent, number: int, outcome: bytes | TriremeError, queue_us: int, compute_us: int
    ) -> None:
        sent.outcomes[number - sent.call.first_id] = outcome
        sent.queue_us = max(sent.queue_us, queue_us)
        sent.compute_us = max(sent.compute_us, compute_us)
        sent.remaining -= 1
        self.outstanding -= 1
        if sent.message is not None:
            self._settle(sent.message, 1)
        if not self.outstanding:
            self._wake.set()  # a draining endpoint is let go when it has answered everything
        if not sent.remaining:
            del self._calls[sent.call]
            if not sent.future.done():
                sent.future.set_result(HopAnswer(sent.outcomes, sent.queue_us, sent.compute_us))

    def _settle(self, message: _Message, answered: int) -> None:
        message.remaining -= answered
        if not message.remaining:
            self._pending.answered(message.key)
            self._mark(message.key)

    def _set_state(self, state: StageState | None) -> None:
        self.state = state
        models = () if state is None else state.models
        self._serving = frozenset(
            (model.name, model.version) for model in models if model.descriptor is not None
        )
        self._on_change()
        self._wake.set()

    _serving: frozenset[Key] = frozenset()

    def _break(self) -> None:
        """Fails what is unanswered and starts afresh."""
        broken, self._calls = self._calls, {}
        self._by_id.clear()
        self._cancels.clear()
        self._dirty.clear()
        self._pending = self._new_pending()
        self.outstanding = 0
        for sent in broken.values():
            if not sent.future.done():
                sent.future.set_exception(StreamBrokenError(self._stage))
        if self.state is not None:
            if broken or self.usable:
                unanswered = len(broken)
                logger.warning(
                    "endpoint_lost", stage=self._stage, endpoint=self.address, unanswered=unanswered
                )
            self._set_state(None)
