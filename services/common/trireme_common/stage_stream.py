"""The server side of a hop without its network: what is under way on one stream of a gateway.

Messages are bytes and parsed here, because grpc answers bytes that a generated servicer cannot parse
with UNKNOWN.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.item_trace import ItemsTrace, MessageTrace
from trireme_common.lacking import Lacking, decode_lacking
from trireme_common.orders import Order, decode_orders
from trireme_common.payloads import MAX_PAYLOAD_BYTES, in_messages
from trireme_common.stage_state import StageState, encode_state, valid_text
from trireme_common.tracing import NO_TRACER, Span, Tracer
from trireme_common.wire import LARGE_BYTES, with_payload
from trireme_protos.trireme.v1 import envelope_pb2

logger = structlog.get_logger(__name__)

_MAX_US = 2**32 - 1
_RESULTS, _RESULT_PAYLOAD = 1, 2  # numbers of the fields in envelope.proto


@dataclass(slots=True, eq=False)
class Item:
    """One item of an envelope. `deadline` is in seconds of this process's monotonic clock."""

    id: int
    payload: bytes
    deadline: float
    request_id: str = ""
    cancelled: bool = False
    """Set when the caller left; work on it may stop at any point, its answer is dropped."""
    received: float = field(default_factory=time.monotonic)
    trace: ItemsTrace | None = None
    """Where its request is traced."""
    priority: int = 0
    """1 is the highest; 0, or a level that the model does not have, is its default."""

    @property
    def span(self) -> Span | None:
        """The span that covers the item in this stage."""
        return None if self.trace is None else self.trace.span

    def check_alive(self) -> None:
        """Raises TriremeError where the item need not be worked on any more."""
        if self.cancelled:
            raise TriremeError(Code.CANCELLED, "the caller left")
        if time.monotonic() >= self.deadline:
            raise TriremeError(Code.DEADLINE_EXCEEDED, "the request's time was up before its turn came")


@dataclass(slots=True, eq=False)  # not frozen: one is made for every item, and freezing doubles its cost
class Outcome:
    """Result of one item: a payload, or the error that the item alone suffers."""

    item: Item
    payload: bytes = b""
    error: TriremeError | None = None
    queue_us: int = 0
    compute_us: int = 0


Emit = Callable[[Sequence[Outcome]], None]
"""Takes outcomes of some items; none at all says that the stage is at work on them."""


class StageHandler(Protocol):
    """A stage's use case: answers every item of a message, together or one by one, through `emit`."""

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None: ...


class StateSource(Protocol):
    """Where the stage's state comes from; `ModelStore` is one."""

    @property
    def state(self) -> StageState: ...

    def subscribe(self, listener: Callable[[StageState], None]) -> Callable[[], None]: ...

    def obey(self, orders: Sequence[Order]) -> None:
        """Takes over what is new of `orders` and carries it out; the state tells when that is done."""

    def others_lack(self, versions: Lacking) -> None:
        """Takes over which versions other stages lack, in place of what was said before."""


class StageStream:
    """State of one stream: the items under way and what waits to be written. No network.

    `write` is called when there are outcomes to be written, `wake` when there may be something else, or the
    stream has `ended`.
    """

    def __init__(
        self,
        handler: StageHandler,
        source: StateSource,
        *,
        write: Callable[[], None],
        wake: Callable[[], None],
        tracer: Tracer = NO_TRACER,
        stage: str = "",
    ) -> None:
        self._handler = handler
        self._obey = source.obey
        self._others_lack = source.others_lack
        self._tracer = tracer
        self._stage = stage
        self._write = write
        self._wake = wake
        self._live: dict[int, Item] = {}
        self._outcomes: list[Outcome] = []
        self._state: StageState | None = source.state
        self._working = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = True
        self._unsubscribe = source.subscribe(self._tell)

    @property
    def ended(self) -> bool:
        """Whether the gateway sends nothing more and everything is answered."""
        return not self._reading and not self._tasks

    def _tell(self, state: StageState) -> None:
        self._state = state
        self._wake()

    def _emit(self, outcomes: Sequence[Outcome]) -> None:
        """Takes the first outcome of every item whose caller still waits."""
        self._working = not outcomes
        for outcome in outcomes:
            if self._live.get(outcome.item.id) is outcome.item:
                del self._live[outcome.item.id]
                self._outcomes.append(outcome)
                if outcome.item.trace is not None:
                    code = None if outcome.error is None else outcome.error.code
                    outcome.item.trace.settle(code, outcome.queue_us, outcome.compute_us)
        self._write()

    def receive(self, data: bytes) -> None:
        """Starts what a message brings. Raises DecodeError where it is no envelope, TriremeError where its
        items cannot be told from others."""
        envelope = envelope_pb2.Envelope.FromString(data)
        for cancelled in envelope.cancels:
            item = self._live.pop(cancelled, None)
            if item is not None:
                _give_up(item)
        if envelope.orders:
            self._obey(decode_orders(envelope.orders))
        if envelope.HasField("lacking"):
            self._others_lack(decode_lacking(envelope.lacking))
        if envelope.items:
            self._start(envelope)

    def end_reading(self) -> None:
        """The gateway sends nothing more."""
        self._reading = False
        self._wake()

    def _start(self, envelope: envelope_pb2.Envelope) -> None:
        now = time.monotonic()
        items = []
        trace = None
        if self._tracer.enabled:
            trace = MessageTrace(self._tracer, self._stage, envelope.model, envelope.version)
        for message in envelope.items:
            if message.id in self._live:
                raise TriremeError(Code.INVALID_ARGUMENT, f"item id {message.id} is already under way")
            item = Item(
                message.id, message.payload, now + message.remaining_ms / 1000, message.request_id, False, now
            )
            item.priority = message.priority
            if trace is not None:
                item.trace = trace.join(message.traceparent, message.request_id)
            self._live[item.id] = item
            items.append(item)
        task = asyncio.create_task(self._run(envelope.model, envelope.version, items))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._reading:
            self._wake()

    async def _run(self, model: str, version: str, items: list[Item]) -> None:
        try:
            await self._handler.handle(model, version, items, self._emit)
        except TriremeError as error:
            self._fail(items, error)
        except Exception:  # the last guard of a stage: the items learn it, the log keeps the traceback
            logger.exception("stage_failed", model=model, version=version)
        finally:
            # Nothing is left if the handler did its duty; what it forgot must not wait for ever.
            left = [item for item in items if self._live.get(item.id) is item]
            if left:
                self._fail(left, TriremeError(Code.INTERNAL, "internal error"))

    def _fail(self, items: list[Item], error: TriremeError) -> None:
        self._emit([Outcome(item, error=error) for item in items])

    def messages(self) -> Iterator[bytes]:
        """What is to be written now."""
        outcomes, self._outcomes = self._outcomes, []
        state, self._state = self._state, None
        if state is not None:
            yield envelope_pb2.Reply(state=encode_state(state)).SerializeToString()
        if self._working:
            self._working = False
            yield envelope_pb2.Reply(working=True).SerializeToString()
        for part in in_messages(outcomes):
            yield _reply(part)

    def abandon(self) -> None:
        """The stream is gone: nobody will read an answer."""
        self._unsubscribe()
        for item in self._live.values():
            _give_up(item)
        self._live.clear()
        for task in self._tasks:
            task.cancel()


def _give_up(item: Item) -> None:
    item.cancelled = True
    if item.trace is not None:
        item.trace.settle(Code.CANCELLED)


def _reply(outcomes: Sequence[Outcome]) -> bytes:
    reply = envelope_pb2.Reply()
    add = reply.results.add
    pieces: list[bytes] = []
    for outcome in outcomes:
        good = outcome.error is None and len(outcome.payload) <= MAX_PAYLOAD_BYTES
        large = good and len(outcome.payload) > LARGE_BYTES
        result = (envelope_pb2.Result if large else add)(
            id=outcome.item.id,
            queue_us=min(outcome.queue_us, _MAX_US),
            compute_us=min(outcome.compute_us, _MAX_US),
        )
        if large:
            pieces += with_payload(_RESULTS, result, _RESULT_PAYLOAD, outcome.payload)
        elif good:
            result.payload = outcome.payload
        else:
            _fail(result, outcome)
    return b"".join((reply.SerializeToString(), *pieces))


def _fail(result: envelope_pb2.Result, outcome: Outcome) -> None:
    error = outcome.error
    if error is None:
        error = TriremeError(
            Code.PAYLOAD_TOO_LARGE, f"the stage's answer has more than {MAX_PAYLOAD_BYTES} bytes"
        )
    result.failure.code = error.code.value
    result.failure.detail = valid_text(error.detail)


async def cancel_and_wait(task: asyncio.Task[None]) -> None:
    """Cancels a task and waits until it has ended."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
