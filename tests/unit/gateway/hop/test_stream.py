from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.support.catalogs import state, version
from tests.support.hops import ask
from tests.support.stages import METHOD, SERVICE, EchoHandler, RunningStage, StateBoard, stage_server, until
from tests.unit.gateway.hop.fakes import KEY, MessageSizes, OverExchange, Sender, items_of, leg_of
from trireme_common.errors import Code, TriremeError
from trireme_common.orders import Order
from trireme_common.payloads import MAX_PAYLOAD_BYTES
from trireme_common.stage_state import StageState, State
from trireme_common.stage_stream import cancel_and_wait
from trireme_gateway.hop.calls import HopCall, Leg
from trireme_gateway.hop.learning import Learning
from trireme_gateway.hop.outlier import OutlierPolicy
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import HopItem, Key, Taker
from trireme_gateway.hop.repeats import StreamBrokenError
from trireme_gateway.hop.stream import EndpointStream
from trireme_protos.trireme.v1 import envelope_pb2

BROKEN = "the connection to inference broke"


def in_a_while(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


class OneStream:
    """A hop of one stream, and its listener: every call is one leg, and fails if the stream breaks."""

    def __init__(self, address: str, pending: Callable[[], Pending], on_change: Callable[[], None]) -> None:
        self.changed = on_change
        self.observer = MessageSizes()
        self.learning = Learning(OutlierPolicy())
        self.stream = EndpointStream("inference", address, METHOD, pending, self.observer, self)
        self.serves = self.stream.serves

    @property
    def state(self) -> StageState | None:
        return self.stream.state

    @property
    def usable(self) -> bool:
        return self.stream.usable

    @property
    def outstanding(self) -> int:
        return self.stream.exchange.outstanding

    # As hop, and owner of the calls

    def send(self, key: Key, items: Sequence[HopItem], taker: Taker) -> None:
        exchange = self.stream.exchange
        exchange.add(leg_of(HopCall(key, items, taker, self), OverExchange(exchange)))

    def withdraw(self, items: Sequence[HopItem]) -> None:
        for item in items:
            if item.call is not None:
                item.call.withdraw([item], 0.0)

    def over(self, call: HopCall, now: float) -> None:
        for leg in call.legs:
            leg.carrier.drop(leg, now)
        call.legs.clear()

    # As listener of the stream

    def spoke(self, now: float) -> None: ...

    def finished(self, legs: Sequence[Leg], now: float) -> None:
        for leg in legs:
            leg.call.legs.remove(leg)

    def broke(self, legs: list[Leg]) -> None:
        for leg in legs:
            leg.call.legs.remove(leg)
            leg.call.fail(StreamBrokenError("inference"), leg.call.missing(), 0.0)


@asynccontextmanager
async def stream_to(
    address: str, *, max_items: int = 64, on_change: Callable[[], None] = lambda: None
) -> AsyncIterator[OneStream]:
    def pending() -> Pending:
        return Pending(max_in_flight=1, max_items=max_items)

    it = OneStream(address, pending, on_change)
    running = asyncio.create_task(it.stream.run())
    try:
        yield it
    finally:
        await cancel_and_wait(running)


async def test_answers_come_back_in_the_order_of_the_payloads() -> None:
    async with (
        stage_server(EchoHandler(lambda payload: payload[::-1])) as stage,
        stream_to(stage.address) as it,
    ):
        await until(lambda: it.serves(KEY))
        answer = await ask(it, KEY, [b"ab", b"cd", b"ef"], in_a_while())
        assert answer.outcomes == [b"ba", b"dc", b"fe"]
        assert (answer.queue_us, answer.compute_us) == (3, 4)
        assert it.outstanding == 0


async def test_orders_are_handed_over_once_the_endpoint_has_spoken() -> None:
    board = StateBoard()
    orders = [Order(5, "echo", version="1")]
    async with stage_server(EchoHandler(), board) as stage, stream_to(stage.address) as it:
        it.stream.tell(orders)
        await until(lambda: board.orders == orders)
        answer = await ask(it, KEY, [b"ab"], in_a_while())
        assert answer.outcomes == [b"ab"]


async def test_what_other_stages_lack_is_said_and_taken_back() -> None:
    board = StateBoard()
    two = frozenset({("echo", "2")})
    async with stage_server(EchoHandler(), board) as stage, stream_to(stage.address) as it:
        it.stream.tell_lacking(two)
        it.stream.tell(())
        it.stream.tell_lacking(frozenset())
        await until(lambda: len(board.lacking) == 2)
        assert board.lacking == [two, frozenset()]  # a message that says nothing of it changes nothing


async def test_one_item_fails_alone() -> None:
    def answer(payload: bytes) -> bytes | TriremeError:
        return TriremeError(Code.BLANK_TEXT, "blank") if payload == b"bad" else payload

    async with stage_server(EchoHandler(answer)) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        found = (await ask(it, KEY, [b"a", b"bad", b"c"], in_a_while())).outcomes
        assert [found[0], found[2]] == [b"a", b"c"]
        assert isinstance(found[1], TriremeError)
        assert (found[1].code, found[1].detail) == (Code.BLANK_TEXT, "blank")


async def test_calls_that_wait_share_a_message_and_keep_their_answers() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, stream_to(stage.address, max_items=4) as it:
        await until(lambda: it.serves(KEY))
        handler.gate.clear()
        calls = [asyncio.create_task(ask(it, KEY, [b"%d" % n], in_a_while())) for n in range(4)]
        await until(lambda: bool(handler.messages))
        calls += [asyncio.create_task(ask(it, KEY, [b"%d" % n], in_a_while())) for n in range(4, 6)]
        await until(lambda: it.outstanding == 6)
        handler.gate.set()
        found = await asyncio.gather(*calls)
        assert [answer.outcomes for answer in found] == [[b"%d" % n] for n in range(6)]
        assert handler.payloads == [b"%d" % n for n in range(6)]
        assert max(len(message) for message in handler.messages) <= 4
        assert len(handler.messages) < 6
        assert sum(it.observer.sizes) == 6
        assert len(it.observer.sizes) == len(handler.messages)


async def test_answers_larger_than_a_message_come_in_several() -> None:
    part = 25 * 1024 * 1024
    async with (
        stage_server(EchoHandler(lambda payload: payload * part)) as stage,
        stream_to(stage.address) as it,
    ):
        await until(lambda: it.serves(KEY))
        found = await ask(it, KEY, [b"a", b"b", b"c"], in_a_while())
        assert [answer[:1] for answer in found.outcomes if isinstance(answer, bytes)] == [b"a", b"b", b"c"]


async def test_an_answer_too_large_for_any_message_fails_alone() -> None:
    def answer(payload: bytes) -> bytes:
        return payload * (MAX_PAYLOAD_BYTES + 1) if payload == b"x" else payload

    async with stage_server(EchoHandler(answer)) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        found = (await ask(it, KEY, [b"a", b"x"], in_a_while())).outcomes
        assert found[0] == b"a"
        assert isinstance(found[1], TriremeError)


async def test_a_cancelled_call_that_waits_leaves_nothing_behind() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        handler.gate.clear()
        first = asyncio.create_task(ask(it, KEY, [b"first"], in_a_while()))
        await until(lambda: handler.payloads == [b"first"])
        waiting = asyncio.create_task(ask(it, KEY, [b"waits"], in_a_while()))
        await until(lambda: it.outstanding == 2)
        await cancel_and_wait(waiting)  # type: ignore[arg-type]
        assert it.outstanding == 1
        handler.gate.set()
        assert (await first).outcomes == [b"first"]
        assert (await ask(it, KEY, [b"next"], in_a_while())).outcomes == [b"next"]
        assert handler.payloads == [b"first", b"next"]
        assert it.outstanding == 0


async def test_a_cancelled_call_that_was_sent_is_cancelled_at_the_stage() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        handler.gate.clear()
        sent = asyncio.create_task(ask(it, KEY, [b"a", b"b"], in_a_while()))
        await until(lambda: len(handler.payloads) == 2)
        await cancel_and_wait(sent)  # type: ignore[arg-type]
        assert it.outstanding == 0
        await until(lambda: all(item.cancelled for item in handler.messages[0]))
        handler.gate.set()
        assert (await ask(it, KEY, [b"next"], in_a_while())).outcomes == [b"next"]
        assert it.outstanding == 0


async def test_the_deadline_of_the_stage_is_made_from_the_time_that_is_left() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        before = time.monotonic()
        await ask(it, KEY, [b"a"], before + 5, "my-id")
        (item,) = handler.messages[0]
        assert before + 4 < item.deadline <= time.monotonic() + 5
        assert item.request_id == "my-id"
        it.send(KEY, items_of(b"late", seconds=-1), Sender())
        await until(lambda: len(handler.messages) == 2)
        with pytest.raises(TriremeError) as late:
            handler.messages[1][0].check_alive()
        assert late.value.code is Code.DEADLINE_EXCEEDED
        await ask(it, KEY, [b"patient"], before + 1e9)


async def test_a_stream_that_breaks_fails_what_is_unanswered_and_opens_again() -> None:
    handler = EchoHandler()
    handler.gate.clear()
    stage = RunningStage(handler, StateBoard())
    await stage.start()
    changes = 0

    def changed() -> None:
        nonlocal changes
        changes += 1

    async with stream_to(stage.address, on_change=changed) as it:
        await until(lambda: it.serves(KEY))
        sent = asyncio.create_task(ask(it, KEY, [b"sent"], in_a_while()))
        await until(lambda: bool(handler.payloads))
        waiting = asyncio.create_task(ask(it, KEY, [b"waits"], in_a_while()))
        await until(lambda: it.outstanding == 2)
        await stage.kill()
        for call in (sent, waiting):
            with pytest.raises(TriremeError, match=BROKEN):
                await call
        assert it.outstanding == 0
        assert not it.serves(KEY)
        assert it.state is None
        known = changes
        again = RunningStage(EchoHandler(), StateBoard(), stage.port)
        await again.start()
        await until(lambda: it.serves(KEY))
        assert changes > known
        assert (await ask(it, KEY, [b"back"], in_a_while())).outcomes == [b"back"]
        await again.kill()


async def test_the_state_follows_the_endpoint() -> None:
    board = StateBoard(state(version("echo", found=State.LOADING)))
    async with stage_server(EchoHandler(), board) as stage, stream_to(stage.address) as it:
        await until(lambda: it.state is not None)
        assert it.usable
        assert not it.serves(KEY)
        board.publish(state("echo"))
        await until(lambda: it.serves(KEY))
        board.publish(state(version("echo", found=State.UNLOADING)))
        await until(lambda: it.state is not None and it.state.models[0].state is State.UNLOADING)
        assert it.serves(KEY)  # a request keeps the version that it was given


async def test_a_draining_endpoint_gets_nothing_new_and_is_let_go_when_it_has_answered() -> None:
    handler, board = EchoHandler(), StateBoard()
    stage = RunningStage(handler, board)
    await stage.start()
    async with stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        handler.gate.clear()
        under_way = asyncio.create_task(ask(it, KEY, [b"a"], in_a_while()))
        await until(lambda: bool(handler.payloads))
        board.publish(state("echo", draining=True))
        await until(lambda: not it.serves(KEY))
        assert not it.usable
        stopping = asyncio.create_task(stage.stop(grace_seconds=20))
        await asyncio.sleep(0)
        handler.gate.set()
        assert (await under_way).outcomes == [b"a"]
        async with asyncio.timeout(5):  # not the whole grace
            await stopping


async def test_an_idle_draining_endpoint_is_let_go_at_once() -> None:
    board = StateBoard()
    stage = RunningStage(EchoHandler(), board)
    await stage.start()
    async with stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        board.publish(state("echo", draining=True))
        async with asyncio.timeout(5):
            await stage.stop(grace_seconds=20)


async def test_closing_the_stream_fails_calls_under_way() -> None:
    handler = EchoHandler()
    handler.gate.clear()
    async with stage_server(handler) as stage:
        async with stream_to(stage.address) as it:
            await until(lambda: it.serves(KEY))
            call = asyncio.create_task(ask(it, KEY, [b"a"], in_a_while()))
            await until(lambda: bool(handler.payloads))
        with pytest.raises(TriremeError, match=BROKEN):
            await call
        await until(lambda: handler.messages[0][0].cancelled)


Foreign = Callable[[Any, Any], AsyncIterator[bytes]]


@asynccontextmanager
async def foreign_server(behaviour: Foreign) -> AsyncIterator[str]:
    """A server that says on the stream what no stage of ours would."""
    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(behaviour)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Infer": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def ready() -> bytes:
    entry = envelope_pb2.ModelVersion(
        name="echo",
        version="1",
        state=envelope_pb2.ModelVersion.READY,
        descriptor=envelope_pb2.ModelDescriptor(task="tensor"),
    )
    found: bytes = envelope_pb2.Reply(state=envelope_pb2.StageState(models=[entry])).SerializeToString()
    return found


async def test_a_malformed_message_breaks_the_stream_and_not_the_endpoint() -> None:
    streams = 0

    async def behave(messages: Any, _: Any) -> AsyncIterator[bytes]:
        nonlocal streams
        streams += 1
        yield ready()
        async for data in messages:
            if streams == 1:
                yield b"\xff\xff\xff"
                continue
            number = envelope_pb2.Envelope.FromString(data).items[0].id
            result = envelope_pb2.Result(id=number, payload=b"well")
            yield envelope_pb2.Reply(results=[result]).SerializeToString()

    async with foreign_server(behave) as address, stream_to(address) as it:
        await until(lambda: it.serves(KEY))
        with pytest.raises(TriremeError, match=BROKEN):
            await ask(it, KEY, [b"a"], in_a_while())
        await until(lambda: streams == 2 and it.serves(KEY))
        assert (await ask(it, KEY, [b"a"], in_a_while())).outcomes == [b"well"]


async def test_a_state_of_a_newer_build_counts_as_unavailable() -> None:
    async def behave(messages: Any, _: Any) -> AsyncIterator[bytes]:
        entry = envelope_pb2.ModelVersion(name="echo", version="1")
        # An enum of proto3 is open: field 3, varint, value 99.
        data = entry.SerializeToString() + b"\x18\x63"
        unknown = envelope_pb2.StageState(models=[envelope_pb2.ModelVersion.FromString(data)])
        yield envelope_pb2.Reply(state=unknown).SerializeToString()
        async for _message in messages:
            pass

    async with foreign_server(behave) as address, stream_to(address) as it:
        await until(lambda: it.state is not None)
        assert it.state is not None
        assert it.state.models[0].state is State.UNAVAILABLE
