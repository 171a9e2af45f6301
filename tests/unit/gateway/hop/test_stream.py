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
from tests.support.stages import METHOD, SERVICE, EchoHandler, RunningStage, StateBoard, stage_server, until
from trireme_common.errors import Code, TriremeError
from trireme_common.orders import Order
from trireme_common.payloads import MAX_PAYLOAD_BYTES
from trireme_common.stage_state import StageState, State
from trireme_common.stage_stream import cancel_and_wait
from trireme_gateway.hop.calls import HopCall, Key, Leg
from trireme_gateway.hop.pending import Pending
from trireme_gateway.hop.ports import HopAnswer, NoObserver
from trireme_gateway.hop.repeats import StreamBrokenError
from trireme_gateway.hop.stream import EndpointStream
from trireme_protos.trireme.v1 import envelope_pb2

KEY = ("echo", "1")


def in_a_while(seconds: float = 30.0) -> float:
    return time.monotonic() + seconds


class MessageSizes(NoObserver):
    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes

    def wrote_message(self, items: int) -> None:
        self.sizes.append(items)


class OneStream:
    """A stream and its listener: every call is one leg, and fails if the stream breaks."""

    def __init__(self, address: str, pending: Callable[[], Pending], on_change: Callable[[], None]) -> None:
        self.changed = on_change
        self.messages: list[int] = []
        self.stream = EndpointStream("inference", address, METHOD, pending, MessageSizes(self.messages), self)
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

    async def call(self, key: Key, payloads: list[bytes], deadline: float, request_id: str) -> HopAnswer:
        future: asyncio.Future[HopAnswer] = asyncio.get_running_loop().create_future()
        leg = Leg(HopCall(key, payloads, deadline, request_id, future), range(len(payloads)), self, 0.0)
        self.stream.exchange.add(leg)
        try:
            return await future
        finally:
            self.drop(leg, 0.0)

    def drop(self, leg: Leg, now: float) -> None:
        self.stream.exchange.drop(leg)

    def spoke(self, now: float) -> None: ...

    def finished(self, legs: Sequence[Leg], now: float) -> None: ...

    def broke(self, legs: list[Leg]) -> None:
        for leg in legs:
            leg.call.fail(StreamBrokenError("inference"), range(len(leg.call.payloads)))


@asynccontextmanager
async def stream_to(
    address: str, *, coalesce: bool = True, max_items: int = 64, on_change: Callable[[], None] = lambda: None
) -> AsyncIterator[OneStream]:
    def pending() -> Pending:
        return Pending(max_in_flight=1, max_items=max_items, coalesce=coalesce)

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
        answer = await it.call(KEY, [b"ab", b"cd", b"ef"], in_a_while(), "r1")
        assert answer.outcomes == [b"ba", b"dc", b"fe"]
        assert (answer.queue_us, answer.compute_us) == (3, 4)
        assert it.outstanding == 0


async def test_orders_are_handed_over_once_the_endpoint_has_spoken() -> None:
    board = StateBoard()
    orders = [Order(5, "echo", version="1")]
    async with stage_server(EchoHandler(), board) as stage, stream_to(stage.address) as it:
        it.stream.tell(orders)
        await until(lambda: board.orders == orders)
        answer = await it.call(KEY, [b"ab"], in_a_while(), "r1")
        assert answer.outcomes == [b"ab"]


async def test_one_item_fails_alone() -> None:
    def answer(payload: bytes) -> bytes | TriremeError:
        return TriremeError(Code.BLANK_TEXT, "blank") if payload == b"bad" else payload

    async with stage_server(EchoHandler(answer)) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        found = (await it.call(KEY, [b"a", b"bad", b"c"], in_a_while(), "r")).outcomes
        assert [found[0], found[2]] == [b"a", b"c"]
        assert isinstance(found[1], TriremeError)
        assert (found[1].code, found[1].detail) == (Code.BLANK_TEXT, "blank")


async def test_calls_that_wait_share_a_message_and_keep_their_answers() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, stream_to(stage.address, max_items=4) as it:
        await until(lambda: it.serves(KEY))
        handler.gate.clear()
        calls = [asyncio.create_task(it.call(KEY, [b"%d" % n], in_a_while(), "r")) for n in range(4)]
        await until(lambda: bool(handler.messages))
        calls += [asyncio.create_task(it.call(KEY, [b"%d" % n], in_a_while(), "r")) for n in range(4, 6)]
        await until(lambda: it.outstanding == 6)
        handler.gate.set()
        found = await asyncio.gather(*calls)
        assert [answer.outcomes for answer in found] == [[b"%d" % n] for n in range(6)]
        assert handler.payloads == [b"%d" % n for n in range(6)]
        assert max(len(message) for message in handler.messages) <= 4
        assert len(handler.messages) < 6
        assert sum(it.messages) == 6
        assert len(it.messages) == len(handler.messages)


async def test_without_coalescing_every_item_has_its_own_message() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, stream_to(stage.address, coalesce=False) as it:
        await until(lambda: it.serves(KEY))
        handler.gate.clear()
        calls = [asyncio.create_task(it.call(KEY, [b"a", b"b"], in_a_while(), "r")) for _ in range(5)]
        await until(lambda: len(handler.messages) == 10)
        handler.gate.set()
        assert [answer.outcomes for answer in await asyncio.gather(*calls)] == [[b"a", b"b"]] * 5
        assert {len(message) for message in handler.messages} == {1}
        assert it.outstanding == 0


async def test_a_call_larger_than_a_message_travels_in_several() -> None:
    handler = EchoHandler(lambda payload: payload[:1])
    async with stage_server(handler) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        part = 400 * 1024
        large = [b"a" * part, b"b" * part, b"c" * 30 * part, b"d", b"e" * part]
        found = await it.call(KEY, large, in_a_while(), "r")
        assert found.outcomes == [b"a", b"b", b"c", b"d", b"e"]
        assert sorted(len(message) for message in handler.messages) == [1, 2, 2]


async def test_answers_larger_than_a_message_come_in_several() -> None:
    part = 25 * 1024 * 1024
    async with (
        stage_server(EchoHandler(lambda payload: payload * part)) as stage,
        stream_to(stage.address) as it,
    ):
        await until(lambda: it.serves(KEY))
        found = await it.call(KEY, [b"a", b"b", b"c"], in_a_while(), "r")
        assert [answer[:1] for answer in found.outcomes if isinstance(answer, bytes)] == [b"a", b"b", b"c"]


async def test_an_item_too_large_for_any_message_fails_alone() -> None:
    async with stage_server(EchoHandler()) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        found = (await it.call(KEY, [b"a", b"x" * (MAX_PAYLOAD_BYTES + 1)], in_a_while(), "r")).outcomes
        assert found[0] == b"a"
        assert isinstance(found[1], TriremeError)
        assert found[1].code is Code.PAYLOAD_TOO_LARGE
        alone = (await it.call(KEY, [b"x" * (MAX_PAYLOAD_BYTES + 1)], in_a_while(), "r")).outcomes[0]
        assert isinstance(alone, TriremeError)
        assert (await it.call(KEY, [b"still"], in_a_while(), "r")).outcomes == [b"still"]
        assert it.outstanding == 0


async def test_an_answer_too_large_for_any_message_fails_alone() -> None:
    def answer(payload: bytes) -> bytes:
        return payload * (MAX_PAYLOAD_BYTES + 1) if payload == b"x" else payload

    async with stage_server(EchoHandler(answer)) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        found = (await it.call(KEY, [b"a", b"x"], in_a_while(), "r")).outcomes
        assert found[0] == b"a"
        assert isinstance(found[1], TriremeError)


async def test_a_cancelled_call_that_waits_leaves_nothing_behind() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        handler.gate.clear()
        first = asyncio.create_task(it.call(KEY, [b"first"], in_a_while(), "r"))
        await until(lambda: handler.payloads == [b"first"])
        waiting = asyncio.create_task(it.call(KEY, [b"waits"], in_a_while(), "r"))
        await until(lambda: it.outstanding == 2)
        await cancel_and_wait(waiting)  # type: ignore[arg-type]
        assert it.outstanding == 1
        handler.gate.set()
        assert (await first).outcomes == [b"first"]
        assert (await it.call(KEY, [b"next"], in_a_while(), "r")).outcomes == [b"next"]
        assert handler.payloads == [b"first", b"next"]
        assert it.outstanding == 0


async def test_a_cancelled_call_that_was_sent_is_cancelled_at_the_stage() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        handler.gate.clear()
        sent = asyncio.create_task(it.call(KEY, [b"a", b"b"], in_a_while(), "r"))
        await until(lambda: len(handler.payloads) == 2)
        await cancel_and_wait(sent)  # type: ignore[arg-type]
        assert it.outstanding == 0
        await until(lambda: all(item.cancelled for item in handler.messages[0]))
        handler.gate.set()
        assert (await it.call(KEY, [b"next"], in_a_while(), "r")).outcomes == [b"next"]
        assert it.outstanding == 0


async def test_the_deadline_of_the_stage_is_made_from_the_time_that_is_left() -> None:
    handler = EchoHandler()
    async with stage_server(handler) as stage, stream_to(stage.address) as it:
        await until(lambda: it.serves(KEY))
        before = time.monotonic()
        await it.call(KEY, [b"a"], before + 5, "my-id")
        (item,) = handler.messages[0]
        assert before + 4 < item.deadline <= time.monotonic() + 5
        assert item.request_id == "my-id"
        await it.call(KEY, [b"late"], before - 1, "r")
        with pytest.raises(TriremeError) as late:
            handler.messages[1][0].check_alive()
        assert late.value.code is Code.DEADLINE_EXCEEDED
        await it.call(KEY, [b"patient"], before + 1e9, "r")


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
        sent = asyncio.create_task(it.call(KEY, [b"sent"], in_a_while(), "r"))
        await until(lambda: bool(handler.payloads))
        waiting = asyncio.create_task(it.call(KEY, [b"waits"], in_a_while(), "r"))
        await until(lambda: it.outstanding == 2)
        await stage.kill()
        for call in (sent, waiting):
            with pytest.raises(StreamBrokenError):
                await call
        assert it.outstanding == 0
        assert not it.serves(KEY)
        assert it.state is None
        known = changes
        again = RunningStage(EchoHandler(), StateBoard(), stage.port)
        await again.start()
        await until(lambda: it.serves(KEY))
        assert changes > known
        assert (await it.call(KEY, [b"back"], in_a_while(), "r")).outcomes == [b"back"]
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
        under_way = asyncio.create_task(it.call(KEY, [b"a"], in_a_while(), "r"))
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
            call = asyncio.create_task(it.call(KEY, [b"a"], in_a_while(), "r"))
            await until(lambda: bool(handler.payloads))
        with pytest.raises(StreamBrokenError):
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
        with pytest.raises(StreamBrokenError):
            await it.call(KEY, [b"a"], in_a_while(), "r")
        await until(lambda: streams == 2 and it.serves(KEY))
        assert (await it.call(KEY, [b"a"], in_a_while(), "r")).outcomes == [b"well"]


async def test_results_that_nobody_asked_for_are_passed_over() -> None:
    async def behave(messages: Any, _: Any) -> AsyncIterator[bytes]:
        yield ready()
        async for data in messages:
            number = envelope_pb2.Envelope.FromString(data).items[0].id
            results = [
                envelope_pb2.Result(id=number + 1000, payload=b"whose?"),
                envelope_pb2.Result(id=number, payload=b"first"),
                envelope_pb2.Result(id=number, payload=b"twice"),
            ]
            yield envelope_pb2.Reply(results=results).SerializeToString()

    async with foreign_server(behave) as address, stream_to(address) as it:
        await until(lambda: it.serves(KEY))
        for _ in range(3):
            assert (await it.call(KEY, [b"a"], in_a_while(), "r")).outcomes == [b"first"]
        assert it.outstanding == 0


async def test_outcomes_of_no_known_kind_are_errors_of_the_platform() -> None:
    async def behave(messages: Any, _: Any) -> AsyncIterator[bytes]:
        yield ready()
        async for data in messages:
            first, second = (item.id for item in envelope_pb2.Envelope.FromString(data).items)
            results = [
                envelope_pb2.Result(id=first),
                envelope_pb2.Result(id=second, failure=envelope_pb2.Failure(code="brand_new", detail="d")),
            ]
            yield envelope_pb2.Reply(results=results).SerializeToString()

    async with foreign_server(behave) as address, stream_to(address) as it:
        await until(lambda: it.serves(KEY))
        found = (await it.call(KEY, [b"a", b"b"], in_a_while(), "r")).outcomes
        assert [error.code for error in found if isinstance(error, TriremeError)] == [Code.INTERNAL] * 2


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
