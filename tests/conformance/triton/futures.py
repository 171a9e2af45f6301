"""`async_infer`: many at once, by greenlets over HTTP and by callbacks over gRPC."""

from __future__ import annotations

import queue
from typing import Any

from tests.conformance.casebook import CaseBook
from tests.conformance.triton.client import TritonClient, pair, sums_of
from tests.conformance.triton.infer import check_sums
from tests.conformance.triton.server import UNKNOWN

FUTURES = CaseBook()
_MANY = 32
_WAIT_SECONDS = 20


@FUTURES.works("async_infer", "many at once, each its own answer", "triton-http")
async def many_greenlets(client: TritonClient) -> None:
    pairs = [pair(1 + number % 3, start=number) for number in range(_MANY)]
    futures = [
        client.raw.async_infer(client.models.sums, sums_of(client, left, right)) for left, right in pairs
    ]
    for (left, right), future in zip(pairs, futures, strict=True):
        check_sums(future.get_result(timeout=_WAIT_SECONDS), left, right)


@FUTURES.fails("async_infer", "an unknown model: its result is the error", "triton-http")
async def greenlet_error(client: TritonClient) -> None:
    future = client.raw.async_infer(UNKNOWN, sums_of(client, *pair()))
    try:
        future.get_result(timeout=_WAIT_SECONDS)
    except client.error as error:
        client.check_error(error, UNKNOWN)
        return
    raise AssertionError("an unknown model answered")


@FUTURES.works("async_infer", "many at once, each its own answer", "triton-grpc")
async def many_callbacks(client: TritonClient) -> None:
    pairs = [pair(1 + number % 3, start=number) for number in range(_MANY)]
    called = [Callback() for _ in pairs]
    for (left, right), callback in zip(pairs, called, strict=True):
        client.raw.async_infer(client.models.sums, sums_of(client, left, right), callback)
    for (left, right), callback in zip(pairs, called, strict=True):
        check_sums(callback.result(), left, right)


@FUTURES.fails("async_infer", "an unknown model: the callback gets the error", "triton-grpc")
async def callback_error(client: TritonClient) -> None:
    callback = Callback()
    client.raw.async_infer(UNKNOWN, sums_of(client, *pair()), callback)
    client.check_error(callback.error(), UNKNOWN)


@FUTURES.fails("async_infer", "cancelled: the callback hears of it, or the answer was quicker", "triton-grpc")
async def cancelled(client: TritonClient) -> None:
    left, right = pair()
    callback = Callback()
    client.raw.async_infer(client.models.sums, sums_of(client, left, right), callback).cancel()
    result, error = callback.wait()
    if error is None:
        check_sums(result, left, right)
    else:
        assert error.status() == "StatusCode.CANCELLED", error


class Callback:
    """What a client calls with results and errors, in the order in which they come."""

    def __init__(self) -> None:
        self._called: queue.Queue[tuple[Any, Any]] = queue.Queue()

    def __call__(self, result: Any, error: Any) -> None:
        self._called.put((result, error))

    def wait(self, seconds: float = _WAIT_SECONDS) -> tuple[Any, Any]:
        return self._called.get(timeout=seconds)

    def result(self) -> Any:
        result, error = self.wait()
        assert error is None, error
        return result

    def error(self) -> Any:
        result, error = self.wait()
        assert result is None, result
        assert error is not None
        return error
