"""The Open Inference Protocol's ModelInfer over gRPC, with messages made beforehand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from trireme_cli.loadtest.connection import Outcome
from trireme_cli.loadtest.http import Response
from trireme_cli.loadtest.tally import Lost

_MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
_MAX_BYTES = 64 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_BYTES),
    ("grpc.max_send_message_length", _MAX_BYTES),
)


@asynccontextmanager
async def grpc_callers(
    address: str, headers: Mapping[str, str], timeout_seconds: float
) -> AsyncIterator[Callable[[], GrpcCaller]]:
    """Makes callers that share one plain channel to `address`, `host:port`, until the end of the block."""
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        call: Any = channel.unary_unary(_MODEL_INFER, None, None)  # bytes out, bytes back
        yield lambda: GrpcCaller(call, tuple(headers.items()), timeout_seconds)


class GrpcCaller:
    """Asks one request at a time. Nothing is raised: what went wrong is an outcome."""

    def __init__(self, call: Any, metadata: tuple[tuple[str, str], ...], timeout_seconds: float) -> None:
        self._call = call
        self._metadata = metadata
        self._timeout = timeout_seconds

    async def ask(self, request: bytes) -> Outcome:
        """The bytes of the answer as the body, or why there is none."""
        try:
            body = await self._call(request, timeout=self._timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return _lost(error)
        return Response(200, b"", body)

    def close(self) -> None:
        """The channel is the block's that opened it."""


def _lost(error: grpc.aio.AioRpcError) -> Lost:
    detail = error.details() or ""
    gone = error.code() is grpc.StatusCode.UNAVAILABLE and "failed to connect" in detail
    return Lost("connect" if gone else f"gRPC {error.code().name}", detail)
