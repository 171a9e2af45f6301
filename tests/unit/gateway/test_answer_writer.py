from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from trireme_gateway.http_server import HttpServer
from trireme_gateway.listening import listen

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def connection(app: ASGIApp) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    sock = listen("127.0.0.1", 0)
    http = HttpServer(app, grace_seconds=1)
    serving = asyncio.create_task(http.run_on(sock))
    reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1])
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.close()
        await http.stop(serving)


async def ask(app: ASGIApp, request: bytes = GET, ending: bytes = b"end") -> bytes:
    async with connection(app) as (reader, writer):
        writer.write(request)
        return await reader.readuntil(ending)


async def test_an_answer_has_its_head_and_its_body_once() -> None:
    answer = await ask(PlainTextResponse("the end", 201, {"x-one": "1"}))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 Created\r\n")
    assert body == b"the end"
    lines = head.split(b"\r\n")[1:]
    assert sorted(line.split(b":")[0] for line in lines) == [
        b"content-length", b"content-type", b"date", b"x-one",
    ]  # fmt: skip
    assert b"content-length: 7" in lines


async def test_one_connection_carries_many_answers() -> None:
    async with connection(PlainTextResponse("end")) as (reader, writer):
        for _ in range(3):
            writer.write(GET)
            assert (await reader.readuntil(b"end")).startswith(b"HTTP/1.1 200")


async def test_an_answer_in_parts_is_chunked() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    answer = await ask(StreamingResponse(parts()), ending=b"0\r\n\r\n")
    assert b"transfer-encoding: chunked" in answer
    assert answer.endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_an_answer_that_says_close_closes() -> None:
    async with connection(PlainTextResponse("end", headers={"connection": "close"})) as (reader, writer):
        writer.write(GET)
        answer = await reader.read()
    assert answer.count(b"connection: close") == 1
    assert answer.endswith(b"end")


async def test_head_has_no_body() -> None:
    async with connection(PlainTextResponse("end")) as (reader, writer):
        writer.write(b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
    assert b"content-length: 3" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("value", ["1\r\nx-two: 2", "1\nx-two: 2", "1\rx"])
async def test_a_header_value_cannot_bring_another_header(value: str) -> None:
    async with connection(Response(b"end", headers={"x-one": value})) as (reader, writer):
        writer.write(GET)
        assert await reader.read() == b""  # uvicorn refuses to write it and ends the connection


@pytest.mark.parametrize("size", [2, 9])
async def test_a_wrong_length_ends_the_connection(size: int) -> None:
    async with connection(Response(b"the body", headers={"content-length": str(size)})) as (reader, writer):
        writer.write(GET)
        answer = await reader.read()  # to the end: nothing may be taken for the next answer
    assert answer.count(b"HTTP/1.1") == 1


async def test_a_failure_after_the_start_is_still_answered() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("no body")

    answer = await ask(_guarded(fails), ending=b"Error")
    assert answer.count(b"HTTP/1.1") == 1
    assert b"500 Internal Server Error" in answer


def _guarded(app: ASGIApp) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """As the gateway's middleware: what an application raises ends there."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except RuntimeError:
            return

    return guard
