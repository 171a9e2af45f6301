"""ModelStreamInfer on a real server: order, errors in place, bounds, cancels, the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from tests.support.stages import until
from tests.unit.gateway.grpc_front.door import door, text_request
from tests.unit.gateway.v2.fakes import services
from trireme_common.errors import TriremeError
from trireme_gateway.grpc_front.stream import MAX_UNDER_WAY
from trireme_protos.inference import grpc_service_pb2 as pb

BLANK = text_request(b" ")


def numbered(number: int, text: bytes = b"good") -> pb.ModelInferRequest:
    request = text_request(text)
    request.id = str(number)
    return request


def echo(values: np.ndarray) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest(model_name="echo_FP32", raw_input_contents=[values.tobytes()])
    request.inputs.add(name="INPUT0", datatype="FP32", shape=values.shape)
    return request


async def send(call: Any, *requests: pb.ModelInferRequest, last: bool = True) -> None:
    for request in requests:
        await call.write(request.SerializeToString())
    if last:
        await call.done_writing()


async def receive(call: Any, count: int) -> list[pb.ModelStreamInferResponse]:
    return [pb.ModelStreamInferResponse.FromString(await call.read()) for _ in range(count)]


async def exchange(call: Any, *requests: pb.ModelInferRequest) -> list[pb.ModelStreamInferResponse]:
    await send(call, *requests)
    answers = await receive(call, len(requests))
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK
    return answers


class Gate:
    """What every call of inference waits for; counts those that came, went on, and were cancelled."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered = 0
        self.cancelled = 0

    async def __call__(self) -> None:
        self.entered += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def settled(count: Callable[[], int]) -> int:
    """What `count` says once it has not changed for a while."""
    known = -1
    while known != (known := count()):
        await asyncio.sleep(0.1)
    return known


async def test_every_request_is_answered_and_says_that_nothing_follows() -> None:
    request = numbered(1)
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    async with door() as client:
        call = client.stream(metadata=(("x-request-id", "mine"),))
        first, second = await exchange(call, request, text_request(b"bad", b"good"))
        assert dict(await call.trailing_metadata())["x-request-id"] == "mine"
    assert (first.error_message, first.infer_response.id) == ("", "1")
    assert first.infer_response.model_name == "sentiment"
    assert first.infer_response.raw_output_contents[0] == b"\x08\0\0\0positive"
    assert first.infer_response.parameters["triton_final_response"].bool_param
    assert list(second.infer_response.outputs[0].shape) == [2]
    ((context, status),) = client.log
    assert (context.request_id, context.items, status) == ("mine", 3, "OK")
    assert context.endpoint == "/inference.GRPCInferenceService/ModelStreamInfer"


async def test_a_stream_without_a_request_ends_well() -> None:
    async with door() as client:
        assert await exchange(client.stream()) == []


async def test_answers_come_in_the_order_of_their_requests() -> None:
    arrived: list[asyncio.Event] = []

    async def last_first() -> None:
        mine = asyncio.Event()
        arrived.append(mine)
        if len(arrived) < 5:
            await mine.wait()
        else:
            for event in reversed(arrived):
                event.set()
                await asyncio.sleep(0)

    async with door(services(wait=last_first)) as client:
        answers = await exchange(client.stream(), *map(numbered, range(5)))
    assert [answer.infer_response.id for answer in answers] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (numbered(2, b" "), "item 0: the text is blank"),
        (text_request(b"a", model="absent"), "Request for unknown model: 'absent' is not found"),
        (text_request(b"a", parameters={"sequence_id": pb.InferParameter(bool_param=True)}), "sequence_id"),
        (text_request(b"a", parameters={"triton_x": pb.InferParameter(bool_param=True)}), "are reserved"),
        (
            text_request(b"a" * 3000),
            "the request has 3039 bytes, which is larger than the limit of 2048 bytes",
        ),
    ],
)
async def test_a_request_that_fails_does_so_in_its_place(bad: pb.ModelInferRequest, said: str) -> None:
    async with door(services(max_body_bytes=2048)) as client:
        first, failed, last = await exchange(client.stream(), numbered(1), bad, numbered(3))
    assert (first.infer_response.id, last.infer_response.id) == ("1", "3")
    assert not first.error_message
    assert not last.error_message
    assert said in failed.error_message
    assert (failed.infer_response.id, failed.infer_response.model_name) == (bad.id, bad.model_name)
    assert not failed.infer_response.outputs
    assert failed.infer_response.parameters["triton_final_response"].bool_param


async def test_sequence_parameters_are_taken() -> None:
    request = numbered(1)
    request.parameters["sequence_id"].int64_param = 7
    request.parameters["sequence_start"].bool_param = True
    request.parameters["sequence_end"].bool_param = False
    async with door() as client:
        (answer,) = await exchange(client.stream(), request)
    assert not answer.error_message


async def test_what_nobody_expected_tells_the_caller_only_an_id() -> None:
    def fail(_: bytes) -> bytes | TriremeError:
        raise RuntimeError("secret")

    async with door(services(infer=fail)) as client:
        (answer,) = await exchange(client.stream(), numbered(1))
    assert answer.error_message == f"internal error; request id {client.log[0][0].request_id}"
    assert answer.infer_response.id == "1"


async def test_the_first_error_ends_a_stream_that_asks_for_it() -> None:
    async with door() as client:
        call = client.stream(metadata=(("triton_grpc_error", "true"),))
        await send(call, numbered(1), BLANK, BLANK, last=False)
        (good,) = await receive(call, 1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert not good.error_message
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "the text is blank" in str(caught.value.details())
    assert client.log[0][1] == "INVALID_ARGUMENT"


async def test_bytes_that_are_no_request_end_the_stream_behind_what_came_before() -> None:
    async with door() as client:
        call = client.stream()
        await send(call, numbered(1), last=False)
        await call.write(b"\xff\xff\xff")
        (good,) = await receive(call, 1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert good.infer_response.id == "1"
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_what_is_under_way_is_bounded() -> None:
    gate = Gate()
    async with door(services(wait=gate)) as client:
        call = client.stream()
        count = 3 * MAX_UNDER_WAY
        await send(call, *map(numbered, range(count)))
        assert await settled(lambda: gate.entered) == MAX_UNDER_WAY
        gate.open.set()
        answers = await receive(call, count)
        assert await call.read() is grpc.aio.EOF
    assert [int(answer.infer_response.id) for answer in answers] == list(range(count))


async def test_a_slow_reader_holds_back_the_reading_of_the_requests() -> None:
    gate = Gate()
    gate.open.set()
    values = np.arange(50_000, dtype=np.float32)
    count = 500  # 100 MB, which no window of HTTP/2 takes in
    async with door(services(wait=gate)) as client:
        call = client.stream()
        sending = asyncio.create_task(send(call, *[echo(values)] * count))
        assert await settled(lambda: gate.entered) < count // 2
        answers = await receive(call, count)
        await sending
        assert await call.read() is grpc.aio.EOF
    assert gate.entered == count
    assert {answer.infer_response.raw_output_contents[0] for answer in answers} == {values.tobytes()}


@pytest.mark.parametrize("leave", ["cancel", "deadline"])
async def test_a_caller_that_leaves_takes_its_work_along(leave: str) -> None:
    gate = Gate()
    async with door(services(wait=gate)) as client:
        call = client.stream(timeout=0.5 if leave == "deadline" else None)
        await send(call, *map(numbered, range(5)), last=False)
        await until(lambda: gate.entered == 5)
        if leave == "cancel":
            call.cancel()
        await until(lambda: gate.cancelled == 5)
        await asyncio.wait_for(client.finished.wait(), 5)
    assert client.log[0][1] == "CANCELLED"


async def test_a_caller_that_leaves_while_an_answer_waits_for_it_is_counted_as_cancelled() -> None:
    gate = Gate()
    gate.open.set()
    values = np.arange(50_000, dtype=np.float32)
    async with door(services(wait=gate)) as client:
        call = client.stream()
        sending = asyncio.create_task(send(call, *[echo(values)] * 500))
        await settled(lambda: gate.entered)
        call.cancel()
        await asyncio.wait_for(client.finished.wait(), 5)
        with pytest.raises((asyncio.CancelledError, asyncio.InvalidStateError)):
            await sending
    assert client.log[0][1] == "CANCELLED"


async def test_a_request_has_a_time_limit_of_its_own() -> None:
    request = numbered(1)
    request.parameters["timeout"].int64_param = 1
    async with door() as client:
        late, good = await exchange(client.stream(), request, numbered(2))
    assert "time was up" in late.error_message
    assert not good.error_message


@pytest.mark.parametrize("under_way", [0, 3])
async def test_a_process_that_leaves_answers_what_it_has_taken(under_way: int) -> None:
    gate = Gate()
    made = services(wait=gate)
    async with door(made) as client:
        call = client.stream()
        await send(call, *map(numbered, range(under_way)), last=False)
        await until(lambda: gate.entered == under_way)
        made.draining.over.set()
        gate.open.set()
        answers = await receive(call, under_way)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert [answer.infer_response.id for answer in answers] == [str(number) for number in range(under_way)]
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details() == "the gateway is shutting down; open another stream"
