from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from tests.support.stages import METHOD, SERVICE, EchoHandler, StateBoard, until
from trireme_common.errors import Code, TriremeError
from trireme_common.grpc_server import GrpcServer
from trireme_common.item_trace import MessageTrace
from trireme_common.stage_servicer import StageServicer
from trireme_common.tracing import NO_TRACER, RecordingTracer, Span
from trireme_protos.trireme.v1 import envelope_pb2

FIRST = "00-0000000000000000000000000000000a-000000000000000a-01"
SECOND = "00-0000000000000000000000000000000b-000000000000000b-01"


def traced() -> tuple[MessageTrace, list[Span]]:
    ended: list[Span] = []
    return MessageTrace(RecordingTracer(ended.append), "inference", "m", "1"), ended


def test_items_of_one_request_share_a_span() -> None:
    trace, ended = traced()
    first, again, other = trace.join(FIRST, "r1"), trace.join(FIRST, "r1"), trace.join(SECOND, "r2")
    assert first is again
    assert first is not None
    assert other is not None
    other.settle(None, 5000, 2000)
    first.settle(None, 1000, 4000)
    assert len(ended) == 1
    first.settle(None, 3000, 2000)
    assert [span.place.trace_id for span in ended] == [0xB, 0xA]
    span = ended[1]
    assert span.parent is not None
    assert (span.name, span.parent.span_id, span.error) == ("inference", 0xA, "")
    assert span.attributes == {
        "trireme.model": "m",
        "trireme.version": "1",
        "trireme.request_id": "r1",
        "trireme.items": 2,
        "trireme.failed": 0,
        "trireme.queue_ms": 3.0,
        "trireme.compute_ms": 4.0,
    }


def test_failures_are_told_by_code() -> None:
    trace, ended = traced()
    for _ in range(3):
        items = trace.join(FIRST, "r")
    assert items is not None
    for code in (Code.BLANK_TEXT, None, Code.BLANK_TEXT):
        items.settle(code)
    (span,) = ended
    assert (span.error, span.attributes["trireme.failed"]) == ("blank_text", 2)
    (event,) = span.events
    assert event.attributes == {"error.type": "blank_text", "trireme.items": 2}


def test_items_without_a_trace_have_no_span() -> None:
    trace, _ = traced()
    assert trace.join("", "r") is None
    assert trace.join("nonsense", "r") is None
    assert MessageTrace(NO_TRACER, "s", "m", "1").join(FIRST, "r") is None


@asynccontextmanager
async def stream_to(handler: EchoHandler, ended: list[Span]) -> AsyncIterator[Any]:
    """A stream to a stage that is traced, its first word read."""
    servicer = StageServicer(handler, StateBoard(), RecordingTracer(ended.append), "echoing")
    server = GrpcServer("127.0.0.1", 0, [servicer.handlers(SERVICE, "Infer")], [SERVICE])
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call: Any = channel.stream_stream(METHOD, None, None)()
            await call.read()
            yield call
            call.cancel()
    finally:
        await server.stop(drain_seconds=0, grace_seconds=0)


def message(*items: tuple[int, bytes, str]) -> bytes:
    envelope = envelope_pb2.Envelope(model="echo", version="1")
    for number, payload, traceparent in items:
        envelope.items.add(
            id=number, payload=payload, remaining_ms=10_000, request_id="r", traceparent=traceparent
        )
    return envelope.SerializeToString()


async def test_a_stage_records_what_it_answered() -> None:
    def answer(payload: bytes) -> bytes | TriremeError:
        return TriremeError(Code.WRONG_SHAPE, "secret") if payload == b"secret" else payload

    ended: list[Span] = []
    async with stream_to(EchoHandler(answer), ended) as call:
        await call.write(message((1, b"a", FIRST), (2, b"secret", SECOND), (3, b"c", FIRST), (4, b"d", "")))
        await until(lambda: len(ended) == 2)
    by_trace = {span.place.trace_id: span for span in ended}
    assert {span.name for span in ended} == {"echoing"}
    assert by_trace[0xA].attributes["trireme.items"] == 2
    assert (by_trace[0xA].error, by_trace[0xB].error) == ("", "wrong_shape")
    for span in ended:
        told = repr((span.name, span.attributes, span.events, span.error))
        assert "secret" not in told


async def test_what_callers_gave_up_ends_as_cancelled() -> None:
    ended: list[Span] = []
    handler = EchoHandler()
    handler.gate.clear()
    async with stream_to(handler, ended) as call:
        await call.write(message((1, b"a", FIRST), (2, b"b", SECOND)))
        await handler.arrived.wait()
        await call.write(envelope_pb2.Envelope(cancels=[1]).SerializeToString())
        await until(lambda: len(ended) == 1)
        assert (ended[0].place.trace_id, ended[0].error) == (0xA, "cancelled")
        call.cancel()
        await until(lambda: len(ended) == 2)
        assert ended[1].error == "cancelled"
