from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from tests.support.http2_peers import METHOD, Owner, opened
from tests.support.stages import until
from trireme_common.http2.connection import StreamEnd
from trireme_common.http2.messages import (
    UNIMPLEMENTED,
)


@asynccontextmanager
async def grpc_server(serve: object) -> AsyncIterator[tuple[str, grpc.aio.Server]]:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    handler = grpc.stream_stream_rpc_method_handler(serve)  # type: ignore[arg-type]
    _, service, method = METHOD.split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", server
    finally:
        await server.stop(0)


async def echo(messages: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message


async def test_messages_of_every_size_go_to_a_grpc_server_and_back() -> None:
    sent = [b"", b"a", b"b" * 16_384, b"c" * 5_000_000, b"", b"d" * 70_000]
    owner = Owner()
    async with grpc_server(echo) as (address, _), opened(address, owner) as stream:
        for message in sent:
            stream.send(message)
        stream.end_writing()
        await until(lambda: bool(owner.ends))
    assert owner.messages == sent
    assert owner.ends == [StreamEnd(0, "")]
    assert owner.told[-1] == "stream_closed"


async def test_a_stream_stays_open_between_messages() -> None:
    owner = Owner()
    async with grpc_server(echo) as (address, _), opened(address, owner) as stream:
        for count in range(1, 50):
            stream.send(b"%d" % count)
            await until(lambda: len(owner.messages) == count)  # noqa: B023  # waited for before the next
        assert not owner.ends
        assert stream.writable


async def test_a_grpc_server_sees_an_ordinary_call() -> None:
    seen: list[tuple[str, object]] = []

    async def look(messages: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
        seen.extend((key, value) for key, value in context.invocation_metadata() or ())
        seen.append(("remaining", context.time_remaining()))
        yield b""

    owner = Owner()
    async with grpc_server(look) as (address, _), opened(address, owner):
        await until(lambda: bool(owner.ends))
    assert seen == [("user-agent", "trireme"), ("remaining", None)]


@pytest.mark.parametrize("detail", ['100 % wrong: \u00e4\u4e2d\u6587\n\t"quoted"', "", "a+b c%20d"])
async def test_the_status_of_a_grpc_server_is_the_end(detail: str) -> None:
    async def fail(messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        await context.write(await anext(aiter(messages)))
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, detail)

    owner = Owner()
    async with grpc_server(fail) as (address, _), opened(address, owner) as stream:
        stream.send(b"one")
        await until(lambda: bool(owner.ends))
        stream.send(b"two")  # nobody takes it any more
    assert owner.ends == [StreamEnd(9, detail)]
    assert owner.messages == [b"one"]


async def test_a_method_that_the_server_does_not_have() -> None:
    owner = Owner()
    async with grpc_server(echo) as (address, _), opened(address, owner, method="/test.Echo/No"):
        await until(lambda: bool(owner.ends))
    assert owner.ends[0].status == UNIMPLEMENTED


async def test_a_grpc_server_that_is_killed_ends_the_stream() -> None:
    owner = Owner()
    async with grpc_server(echo) as (address, server), opened(address, owner) as stream:
        stream.send(b"a")
        await until(lambda: owner.messages == [b"a"])
        await server.stop(0)
        await until(lambda: bool(owner.ends))
        assert not stream.writable or owner.ends[0].status != 0
    assert len(owner.ends) == 1
    assert owner.ends[0].status != 0
