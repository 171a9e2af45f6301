"""The server side of a hop, spoken to over a real channel with raw bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.catalogs import state
from tests.support.stages import METHOD, EchoHandler, RunningStage, StateBoard, stage_server, until
from trireme_common.errors import Code, TriremeError
from trireme_common.orders import Order, encode_orders
from trireme_common.payloads import in_messages
from trireme_common.stage_state import StageState, decode_state
from trireme_common.stage_stream import Emit, Item, Outcome
from trireme_protos.trireme.v1 import envelope_pb2


class Caller:
    """The gateway's end of a stream."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def send(
        self,
        *items: tuple[int, bytes],
        cancels: Sequence[int] = (),
        remaining_ms: int = 10_000,
        priority: int = 0,
    ) -> None:
        envelope = envelope_pb2.Envelope(model="echo", version="1", cancels=cancels)
        for number, payload in items:
            envelope.items.add(
                id=number, payload=payload, remaining_ms=remaining_ms, request_id="r", priority=priority
            )
        await self.call.write(envelope.SerializeToString())

    async def reply(self) -> Any:
        async with asyncio.timeout(10):
            data = await self.call.read()
        return envelope_pb2.Reply.FromString(data) if data else None

    async def results(self, count: int) -> dict[int, Any]:
        """The next `count` results, by id."""
        found: dict[int, Any] = {}
        while len(found) < count:
            for result in (await self.reply()).results:
                assert result.id not in found
                found[result.id] = result
        return found


@asynccontextmanager
async def caller_of(stage: RunningStage) -> AsyncIterator[Caller]:
    async with grpc.aio.insecure_channel(stage.address) as channel:
        call: Any = channel.stream_stream(METHOD, None, None)()
        try:
            yield Caller(call)
        finally:
            call.cancel()


async def test_the_state_is_the_first_word_and_comes_again_at_every_change() -> None:
    board = StateBoard(state("echo", device="cpu"))
    async with stage_server(EchoHandler(), board) as stage, caller_of(stage) as caller:
        first = await caller.reply()
        assert first.state.models[0].name == "echo"
        assert first.state.device == "cpu"
        board.publish(state("echo", draining=True))
        assert (await caller.reply()).state.draining


async def test_every_item_is_answered_by_its_id() -> None:
    def answer(payload: bytes) -> bytes | TriremeError:
        return TriremeError(Code.BLANK_TEXT, "it is \udcff blank") if payload == b"bad" else payload.upper()

    async with stage_server(EchoHandler(answer)) as stage, caller_of(stage) as caller:
        await caller.reply()
        await caller.send((7, b"a"), (3, b"bad"), (9, b""))
        found = await caller.results(3)
        assert (found[7].payload, found[7].queue_us, found[7].compute_us) == (b"A", 3, 4)
        assert found[9].WhichOneof("outcome") == "payload"
        assert (found[3].failure.code, found[3].failure.detail) == ("blank_text", "it is ? blank")


async def test_messages_are_worked_on_side_by_side() -> None:
    handler = EchoHandler()
    handler.gate.clear()
    async with stage_server(handler) as stage, caller_of(stage) as caller:
        await caller.reply()
        await caller.send((1, b"a"))
        await caller.send((2, b"b"))
        await until(lambda: len(handler.messages) == 2)
        handler.gate.set()
        assert set(await caller.results(2)) == {1, 2}


async def test_cancelled_items_are_told_so_and_not_answered() -> None:
    handler = EchoHandler()
    handler.gate.clear()
    async with stage_server(handler) as stage, caller_of(stage) as caller:
        await caller.reply()
        await caller.send((1, b"a"), (2, b"b"))
        await until(lambda: len(handler.payloads) == 2)
        await caller.send(cancels=[1, 77])
        gone, kept = handler.messages[0]
        await until(lambda: gone.cancelled)
        assert not kept.cancelled
        with pytest.raises(TriremeError) as left:
            gone.check_alive()
        assert left.value.code is Code.CANCELLED
        handler.gate.set()
        assert set(await caller.results(1)) == {2}
        await caller.send((1, b"again"))
        assert (await caller.results(1))[1].payload == b"again"


async def test_an_item_has_the_priority_that_was_sent() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, caller_of(stage) as caller:
        await caller.reply()
        await caller.send((1, b"a"))
        await caller.send((2, b"b"), priority=3)
        await caller.results(2)
        items = {item.id: item.priority for message in handler.messages for item in message}
        assert items == {1: 0, 2: 3}


async def test_time_that_is_up_is_noticed() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, caller_of(stage) as caller:
        await caller.reply()
        await caller.send((1, b"a"), remaining_ms=0)
        await caller.results(1)
        with pytest.raises(TriremeError) as late:
            handler.messages[0][0].check_alive()
        assert late.value.code is Code.DEADLINE_EXCEEDED
        assert handler.messages[0][0].received <= time.monotonic()


class Odd:
    """A handler that does what `trick` says."""

    def __init__(self, trick: str) -> None:
        self.trick = trick

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        match self.trick:
            case "refuse":
                raise TriremeError(Code.MODEL_NOT_FOUND, "unknown model")
            case "crash":
                emit([Outcome(items[0], b"well")])
                raise ZeroDivisionError
            case "forget":
                emit([Outcome(items[0], b"well")])
            case "cancel":
                raise asyncio.CancelledError
            case "twice":
                emit([Outcome(item, b"first") for item in items])
                emit([Outcome(item, b"second") for item in items])


@pytest.mark.parametrize(
    ("trick", "expected"),
    [
        ("refuse", ["model_not_found", "model_not_found"]),
        ("crash", [b"well", "internal"]),
        ("forget", [b"well", "internal"]),
        ("cancel", ["internal", "internal"]),
        ("twice", [b"first", b"first"]),
    ],
)
async def test_whatever_a_handler_does_every_item_is_answered_once(
    trick: str, expected: list[bytes | str]
) -> None:
    async with stage_server(Odd(trick)) as stage, caller_of(stage) as caller:
        await caller.reply()
        for _ in range(2):
            await caller.send((1, b"a"), (2, b"b"))
            found = await caller.results(2)
            assert [found[n].failure.code or found[n].payload for n in (1, 2)] == expected


async def test_malformed_bytes_are_the_callers_fault() -> None:
    async with stage_server(EchoHandler()) as stage, caller_of(stage) as caller:
        await caller.reply()
        await caller.call.write(b"\xff\xff\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await caller.call.read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "Envelope" in (refused.value.details() or "")


async def test_an_id_that_is_under_way_cannot_be_used_again() -> None:
    handler = EchoHandler()
    handler.gate.clear()
    async with stage_server(handler) as stage, caller_of(stage) as caller:
        await caller.reply()
        await caller.send((1, b"a"))
        await caller.send((1, b"b"))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await caller.call.read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        await until(lambda: handler.messages[0][0].cancelled)


@pytest.mark.parametrize("held", [True, False])
async def test_a_caller_that_sends_nothing_more_gets_what_is_under_way(held: bool) -> None:
    handler, board = EchoHandler(), StateBoard()
    async with stage_server(handler, board) as stage, caller_of(stage) as caller:
        await caller.reply()
        if held:
            handler.gate.clear()
        await caller.send(*((number, b"x" * 1000) for number in range(1, 50)))
        await caller.call.done_writing()
        await until(lambda: bool(handler.messages))
        handler.gate.set()
        assert len(await caller.results(49)) == 49
        assert await caller.reply() is None
        assert await caller.call.code() is grpc.StatusCode.OK
        await until(lambda: not board.listeners)


async def test_a_caller_that_leaves_cancels_its_items() -> None:
    handler, board = EchoHandler(), StateBoard()
    handler.gate.clear()
    async with stage_server(handler, board) as stage:
        async with caller_of(stage) as caller:
            await caller.reply()
            await caller.send((1, b"a"))
            await until(lambda: bool(handler.payloads))
        await until(lambda: handler.messages[0][0].cancelled)
        await until(lambda: not board.listeners)
        async with caller_of(stage) as caller:
            await caller.reply()
            handler.gate.set()
            await caller.send((1, b"b"))
            assert (await caller.results(1))[1].payload == b"b"


def test_parts_are_put_into_messages_in_their_order_within_both_limits() -> None:
    parts = [Outcome(Item(n, b"", 0.0), b"x" * 10) for n in range(10)]
    found = list(in_messages(parts, 4))
    assert [len(message) for message in found] == [4, 4, 2]
    assert [part for message in found for part in message] == parts
    assert list(in_messages([], 4)) == []
    large = [Outcome(Item(n, b"", 0.0), bytes(40 * 1024 * 1024)) for n in range(3)]
    assert [len(message) for message in in_messages(large)] == [1, 1, 1]


async def test_orders_reach_whoever_obeys_and_come_back_in_the_state() -> None:
    board = StateBoard()
    orders = (Order(7, "echo", version="2"), Order(8, "other", unloaded=True))
    async with stage_server(EchoHandler(), board) as stage, caller_of(stage) as caller:
        assert not (await caller.reply()).state.orders
        envelope = envelope_pb2.Envelope(orders=encode_orders(orders))
        await caller.call.write(envelope.SerializeToString())
        await until(lambda: bool(board.orders))
        assert board.orders == list(orders)
        board.publish(StageState(orders=orders))
        assert decode_state((await caller.reply()).state) == StageState(orders=orders)


class Slow:
    """Says that it is at work before it answers."""

    async def handle(self, model: str, version: str, items: Sequence[Item], emit: Emit) -> None:
        emit(())
        await asyncio.sleep(0.01)
        emit([Outcome(item, b"done") for item in items])


async def test_a_handler_that_is_at_work_is_heard() -> None:
    async with stage_server(Slow()) as stage, caller_of(stage) as caller:
        await caller.reply()
        await caller.send((1, b"x"))
        sign = await caller.reply()
        assert sign.working
        assert not sign.results
        assert (await caller.results(1))[1].payload == b"done"
