"""ModelStreamInfer: requests and answers on one stream, each answer in its request's place.

Triton keeps this order for every model that answers a request once, as all models here do. A request
that fails is answered with `error_message` and its id, and the stream goes on; with the metadata
`triton_grpc_error: true` the first error ends it with a status instead.

What a stream holds is bounded: a reader that takes its answers slowly holds back the reading of the
requests. One task reads and one writes, because grpc.aio ends a call whose reading is given up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Protocol

import structlog

from trireme_common.errors import Code, TriremeError
from trireme_common.tracing import log_ids
from trireme_gateway.context import RequestContext
from trireme_gateway.grpc_front.converters import check_size, fill_response, parse
from trireme_gateway.grpc_front.room import Room
from trireme_gateway.v2.requests import InferResponse
from trireme_protos.inference import grpc_service_pb2 as pb

logger = structlog.get_logger(__name__)

# As many as one message of a hop takes, so that the texts of a busy stream travel together.
MAX_UNDER_WAY = 64

Write = Callable[[bytes], Awaitable[None]]
Answer = Callable[[bytes], Coroutine[Any, Any, bytes]]


class Infer(Protocol):
    """The use case behind one request; raises TriremeError."""

    async def __call__(
        self, message: pb.ModelInferRequest, size: int, context: RequestContext
    ) -> InferResponse: ...


class InferStreams:
    """Serves calls of ModelStreamInfer until `over` is set; then each ends behind what it has taken."""

    def __init__(self, infer: Infer, *, max_bytes: int, timeout_seconds: float, over: asyncio.Event) -> None:
        """`max_bytes` is the most that a request, and all that one stream holds beside it, may have;
        `timeout_seconds` the time of each request."""
        self._infer = infer
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._over = over

    async def serve(
        self, messages: AsyncIterator[bytes], write: Write, context: RequestContext, *, strict: bool
    ) -> None:
        """Answers every message. `context` sums up the requests; its deadline is the stream's own.

        Raises TriremeError where the stream as a whole ends: bytes that are no request, the process
        leaving, and with `strict` the first request that fails.
        """
        answerer = _Answerer(
            self._infer,
            context,
            max_bytes=self._max_bytes,
            timeout_seconds=self._timeout_seconds,
            strict=strict,
        )
        stream = _Stream(answerer.answer, self._max_bytes)
        reading = asyncio.create_task(stream.read_all(messages))
        leaving = asyncio.create_task(self._over.wait())
        leaving.add_done_callback(stream.close)
        try:
            await stream.write_all(write)
            if reading.done():
                reading.result()
            if not stream.read_whole:
                raise TriremeError(
                    Code.BACKEND_UNAVAILABLE, "the gateway is shutting down; open another stream"
                )
        finally:
            _give_up(reading)
            _give_up(leaving)
            stream.abandon()


class _Answerer:
    """Answers the requests of one stream."""

    def __init__(
        self, infer: Infer, context: RequestContext, *, max_bytes: int, timeout_seconds: float, strict: bool
    ) -> None:
        self._infer = infer
        self._context = context
        self._max_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._strict = strict

    async def answer(self, data: bytes) -> bytes:
        """The answer to one message, or the error it suffers alone. Raises what ends the stream."""
        message = parse(pb.ModelInferRequest, data)
        part = self._part()
        answered = pb.ModelStreamInferResponse()
        try:
            check_size(data, self._max_bytes)
            fill_response(answered.infer_response, await self._infer(message, len(data), part))
        except TriremeError as error:
            if self._strict:
                raise
            _fail(answered, message, error.detail)
        except Exception:  # the last guard of a request: the caller gets an id, the log the traceback
            logger.exception("request_failed", request_id=part.request_id, **log_ids(part.span))
            detail = f"internal error; request id {part.request_id}"
            if self._strict:
                raise TriremeError(Code.INTERNAL, detail) from None
            _fail(answered, message, detail)
        finally:
            self._context.merge(part)
        # Triton says so of every answer behind which no other comes for the same request.
        answered.infer_response.parameters["triton_final_response"].bool_param = True
        return answered.SerializeToString()

    def _part(self) -> RequestContext:
        whole = self._context
        now = time.monotonic()
        deadline = min(whole.deadline, now + self._timeout_seconds)
        return RequestContext(
            whole.request_id, deadline, now, span=whole.span, cache_control=whole.cache_control
        )


def _fail(answered: pb.ModelStreamInferResponse, message: pb.ModelInferRequest, detail: str) -> None:
    answered.Clear()
    answered.error_message = detail
    response = answered.infer_response
    response.id = message.id
    response.model_name, response.model_version = message.model_name, message.model_version


class _Stream:
    """What one call has taken and not yet answered."""

    def __init__(self, answer: Answer, max_bytes: int) -> None:
        self._answer = answer
        self._room = Room(MAX_UNDER_WAY, max_bytes)
        self._taken: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[bytes]] = set()
        self._closed = False
        self.read_whole = False
        """Whether the caller has said that no other request comes."""

    async def read_all(self, messages: AsyncIterator[bytes]) -> None:
        """Starts what arrives, as long as there is room for it."""
        try:
            async for data in messages:
                await self._room.enter(len(data))
                if self._closed:
                    return
                task = asyncio.create_task(self._run(data))
                self._tasks.add(task)
                self._taken.put_nowait(task)
            self.read_whole = True
        finally:
            self.close()

    async def _run(self, data: bytes) -> bytes:
        answer = await self._answer(data)
        self._room.resize(len(data), len(answer))
        return answer

    def close(self, _: object = None) -> None:
        """Takes no more; what was taken is answered."""
        if not self._closed:
            self._closed = True
            self._taken.put_nowait(None)

    async def write_all(self, write: Write) -> None:
        """Writes the answers in the order of their requests, until all that was taken is answered."""
        while (task := await self._taken.get()) is not None:
            answer = await task
            self._tasks.discard(task)
            await write(answer)
            self._room.leave(len(answer))

    def abandon(self) -> None:
        """Nobody will read another answer."""
        for task in self._tasks:
            _give_up(task)


def _give_up(task: asyncio.Task[Any]) -> None:
    task.cancel()
    if task.done() and not task.cancelled():
        task.exception()  # nobody asks for it, which asyncio would complain of
