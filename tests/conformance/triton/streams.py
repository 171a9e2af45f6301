"""ModelStreamInfer, by the client that calls back and by the one that iterates."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.conformance.casebook import CaseBook
from tests.conformance.triton.client import TritonClient, pair, sums_of
from tests.conformance.triton.futures import Callback
from tests.conformance.triton.infer import check_sums, fields_of
from tests.conformance.triton.server import UNKNOWN

STREAMS = CaseBook()
_COUNT = 10
_SYNC, _AIO = "triton-grpc", "triton-grpc-aio"


@STREAMS.works("start_stream", "and again, when it was stopped; compressed too", _SYNC)
async def started(client: TritonClient) -> None:
    for algorithm in (None, "gzip"):
        with _stream(client, compression_algorithm=algorithm) as callback:
            left, right = _send(client, "one")
            check_sums(callback.result(), left, right)


@STREAMS.fails("start_stream", "a second one beside it", _SYNC)
async def started_twice(client: TritonClient) -> None:
    with _stream(client):
        try:
            client.raw.start_stream(Callback())
        except client.error:
            return
    raise AssertionError("two streams")


@STREAMS.fails("start_stream", "whose time is up: the callback hears of it (stream_timeout)", _SYNC)
async def stream_timeout(client: TritonClient) -> None:
    with _stream(client, stream_timeout=0.3) as callback:
        assert callback.error().status() == "StatusCode.DEADLINE_EXCEEDED"


@STREAMS.works("async_stream_infer", "many on one stream, answered in order", _SYNC)
async def many(client: TritonClient) -> None:
    with _stream(client) as callback:
        sent = [_send(client, str(number), start=number) for number in range(_COUNT)]
        for number, (left, right) in enumerate(sent):
            result = callback.result()
            check_sums(result, left, right)
            assert fields_of(client, result) == (client.models.sums, "1", str(number))


@STREAMS.works("async_stream_infer", "with every option", _SYNC)
async def options(client: TritonClient) -> None:
    with _stream(client, headers={"x-extra": "1"}) as callback:
        left, right = _send(
            client,
            "all",
            model_version="1",
            outputs=[client.output("SUM"), client.output("DIFFERENCE")],
            sequence_id=5,
            sequence_start=True,
            sequence_end=True,
            priority=1,
            timeout=20_000_000,
            enable_empty_final_response=True,
            parameters={"colour": "red"},
        )
        check_sums(callback.result(), left, right)


@STREAMS.fails(
    "async_stream_infer", "one mistake among others: its error in its place, the stream goes on", _SYNC
)
async def mistake_among_others(client: TritonClient) -> None:
    with _stream(client) as callback:
        first = _send(client, "1")
        client.raw.async_stream_infer(UNKNOWN, sums_of(client, *pair()), request_id="2")
        last = _send(client, "3")
        check_sums(callback.result(), *first)
        assert UNKNOWN in callback.error().message()
        check_sums(callback.result(), *last)


@STREAMS.works("stop_stream", "waits for the answers that are due", _SYNC)
async def stopped(client: TritonClient) -> None:
    callback = Callback()
    client.raw.start_stream(callback)
    sent = [_send(client, str(number), start=number) for number in range(_COUNT)]
    client.raw.stop_stream()
    for left, right in sent:
        check_sums(callback.result(), left, right)


@STREAMS.fails("stop_stream", "with requests cancelled: the callback hears of it", _SYNC)
async def stopped_at_once(client: TritonClient) -> None:
    callback = Callback()
    client.raw.start_stream(callback)
    left, right = _send(client, "1")
    check_sums(callback.result(), left, right)
    client.raw.stop_stream(cancel_requests=True)
    assert callback.error().status() == "StatusCode.CANCELLED"
    assert client.raw.is_server_live()


@STREAMS.works("stream_infer", "many on one stream, answered in order; compressed too", _AIO)
async def iterated(client: TritonClient) -> None:
    for algorithm in (None, "gzip"):
        pairs = [pair(start=number) for number in range(_COUNT)]
        answers = client.raw.stream_infer(
            _requests(client, pairs), headers={"x-extra": "1"}, compression_algorithm=algorithm
        )
        found = [(result, error) async for result, error in answers]
        assert len(found) == _COUNT
        for number, ((left, right), (result, error)) in enumerate(zip(pairs, found, strict=True)):
            assert error is None, error
            check_sums(result, left, right)
            assert fields_of(client, result)[2] == str(number)


@STREAMS.fails("stream_infer", "one mistake among others: its error in its place, the stream goes on", _AIO)
async def mistake_in_iteration(client: TritonClient) -> None:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        for name in (client.models.sums, UNKNOWN, client.models.sums):
            yield {"model_name": name, "inputs": sums_of(client, *pair())}

    found = [(result, error) async for result, error in client.raw.stream_infer(requests())]
    assert [error is None for _, error in found] == [True, False, True]
    assert UNKNOWN in found[1][1].message()


@STREAMS.fails("stream_infer", "cancelled by its caller", _AIO)
async def iteration_cancelled(client: TritonClient) -> None:
    answers = client.raw.stream_infer(_requests(client, [pair()] * 2))
    await anext(answers)
    assert answers.cancel() is True
    assert await client("is_server_live") is True


@contextlib.contextmanager
def _stream(client: TritonClient, **options: Any) -> Iterator[Callback]:
    callback = Callback()
    client.raw.start_stream(callback, **options)
    try:
        yield callback
    finally:
        client.raw.stop_stream()


def _send(client: TritonClient, request_id: str, start: float = 0.0, **options: Any) -> tuple[Any, Any]:
    left, right = pair(start=start)
    client.raw.async_stream_infer(
        client.models.sums, sums_of(client, left, right), request_id=request_id, **options
    )
    return left, right


async def _requests(client: TritonClient, pairs: list[tuple[Any, Any]]) -> AsyncIterator[dict[str, Any]]:
    for number, (left, right) in enumerate(pairs):
        yield {
            "model_name": client.models.sums,
            "inputs": sums_of(client, left, right),
            "outputs": [client.output("SUM"), client.output("DIFFERENCE")],
            "request_id": str(number),
        }
