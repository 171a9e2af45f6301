"""The stream's side of inference: items to requests of the model's scheduler, its answers to outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol, cast
from weakref import WeakKeyDictionary

from trireme_common.errors import TriremeError
from trireme_common.metrics import count_outcome
from trireme_common.stage_stream import Emit, Item, Outcome
from trireme_inference.converters import PayloadCodec
from trireme_inference.requests import Answer, Request
from trireme_inference.servable import InferenceServable
from trireme_inference.signature import Signature

_SIGN_SECONDS = 0.1


class Servables(Protocol):
    """Where loaded versions are found; a ModelStore is one."""

    def peek(self, name: str, version: str) -> InferenceServable | None: ...

    async def acquire(self, name: str, version: str) -> InferenceServable:
        """Loads it first where that is needed. Raises TriremeError where the version is not served."""


async def _patiently(loading: Awaitable[object], emit: Emit) -> None:
    """Says again and again that there is work going on: gateways turn away from whoever is silent."""
    task = asyncio.ensure_future(loading)
    try:
        while not (await asyncio.wait((task,), timeout=_SIGN_SECONDS))[0]:
            emit(())
        task.result()
    finally:
        task.cancel()


class _Message:
    """One message of a stream: done when each of its items has its outcome."""

    __slots__ = ("codec", "done", "emit", "left", "model")

    def __init__(
        self, model: str, codec: PayloadCodec, emit: Emit, count: int, done: asyncio.Future[None]
    ) -> None:
        self.model = model
        self.codec = codec
        self.emit = emit
        self.left = count
        self.done = done

    def settle(self, count: int) -> None:
        self.left -= count
        if not self.left and not self.done.done():
            self.done.set_result(None)


class InferenceHandler:
    """Answers the items of a message through the model's scheduler; also the sink of their answers."""

    def __init__(self, servables: Servables) -> None:
        self._servables = servables
        self._codecs: WeakKeyDictionary[InferenceServable, PayloadCodec] = WeakKeyDictionary()

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        """Returns when every item was answered. Raises TriremeError where the version is not served."""
        while (servable := self._servables.peek(model, version)) is None:
            await _patiently(self._servables.acquire(model, version), emit)
        codec = self._codecs.get(servable)
        if codec is None:
            codec = self._codecs[servable] = PayloadCodec(servable.signature)
        message = _Message(model, codec, emit, len(items), asyncio.get_running_loop().create_future())
        requests: list[Request] = []
        refused: list[Outcome] = []
        for item in items:
            try:
                requests.append(self._request(servable.signature, item, message))
            except TriremeError as error:
                count_outcome(model, error.code)
                refused.append(Outcome(item, error=error))
        if refused:
            emit(refused)
            message.settle(len(refused))
        if requests:
            servable.batcher.submit(requests)
        await message.done

    def _request(self, signature: Signature, item: Item, message: _Message) -> Request:
        parts, shapes, rows = message.codec.decode(item.payload)
        request = Request(
            parts, shapes, rows, item.deadline, item.received, signature, item, self, message, item.request_id
        )
        request.priority = item.priority
        if item.trace is not None:
            request.span = item.trace.span
        return request

    def deliver(self, answers: Sequence[Answer]) -> None:
        """One `emit` a stream for all the answers of a batch."""
        by_emit: dict[Emit, list[Outcome]] = {}
        by_message: dict[_Message, int] = {}
        for answer in answers:
            message: _Message = answer.request.context
            outcomes = by_emit.get(message.emit)
            if outcomes is None:
                outcomes = by_emit[message.emit] = []
            outcomes.append(_outcome(answer, message.codec))
            by_message[message] = by_message.get(message, 0) + 1
        _count(answers)
        for emit, outcomes in by_emit.items():
            emit(outcomes)
        for message, count in by_message.items():
            message.settle(count)


def _outcome(answer: Answer, codec: PayloadCodec) -> Outcome:
    # An answer goes back to whoever it came from: `caller` is the item of the stream.
    item = cast(Item, answer.request.caller)
    payload = codec.encode(answer.shapes, answer.parts) if answer.error is None else b""
    return Outcome(
        item, payload, answer.error, int(answer.queue_seconds * 1e6), int(answer.compute_seconds * 1e6)
    )


def _count(answers: Sequence[Answer]) -> None:
    model = answers[0].request.context.model
    failed = [answer.error.code for answer in answers if answer.error is not None]
    for code in failed:
        count_outcome(model, code)
    if len(failed) < len(answers):
        count_outcome(model, None, len(answers) - len(failed))
