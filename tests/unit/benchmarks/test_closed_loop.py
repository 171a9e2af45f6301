"""The load generator against servers of ours: what it must notice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest

from benchmarks.exchanges import Exchange, Exchanges
from benchmarks.figures import Sample
from benchmarks.load.closed_loop import Loop, WrongAnswerError, measure
from trireme_cli.loadtest.http import ProtocolError, build_request

Answer = Callable[[bytes], bytes | None]
NAMES = [f"name-{number}" for number in range(8)]
EXCHANGES = Exchanges(
    ("results", 0),
    tuple(Exchange(build_request("/", "text/plain", name.encode()), name) for name in NAMES),
)


def respond(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s" % (status, headers, len(body), body)


def echo(body: bytes, headers: bytes = b"") -> bytes:
    return respond(orjson.dumps({"results": [body.decode()]}), headers=headers)


@asynccontextmanager
async def served(answer: Answer) -> AsyncGenerator[int, None]:
    """Port of a server that answers each body as told, or hangs up where it is told nothing."""

    handlers: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.append(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.rpartition(b"content-length: ")[2])
                content = answer(await reader.readexactly(length))
                if content is None:
                    return
                writer.write(content)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*handlers)


async def load(answer: Answer, *, connections: int = 3, exchanges: Exchanges = EXCHANGES) -> Sample:
    async with served(answer) as port:
        return await measure(Loop(port, os.getpid(), connections, 0.0, 0.1), exchanges)


async def test_every_answer_in_the_window_is_counted() -> None:
    seen: list[bytes] = []

    def answer(body: bytes) -> bytes:
        seen.append(body)
        return echo(body)

    sample = await load(answer)
    assert 0 < sample.requests <= len(seen)
    assert {body.decode() for body in seen[: len(NAMES)]} == set(NAMES)
    assert 0 < sample.p50_ms <= sample.p99_ms
    assert sample.seconds >= 0.1


async def test_one_answer_that_belongs_to_another_request_fails_all() -> None:
    def answer(body: bytes) -> bytes:
        return echo(b"name-0" if body == b"name-5" else body)

    with pytest.raises(WrongAnswerError, match="'name-0', but the oracle says 'name-5'"):
        await load(answer)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (respond(b"{}", b"429 Too Many Requests"), WrongAnswerError, "status 429"),
        (respond(b"{}"), WrongAnswerError, "KeyError"),
        (respond(b"not JSON"), WrongAnswerError, "not JSON"),
        (respond(b'{"results": []}'), WrongAnswerError, "IndexError"),
        (None, ProtocolError, "closed a connection"),
        (echo(b"name-0") * 2, ProtocolError, "follow an answer"),
    ],
)
async def test_anything_but_the_right_answer_fails(
    content: bytes | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await load(lambda _: content)


async def test_a_server_that_does_not_answer_fails() -> None:
    with pytest.raises(ProtocolError, match="no answer within"):
        await load(lambda _: b"")


async def test_one_connection_learns_where_the_time_went() -> None:
    said = b"server-timing: preprocess;dur=1.0, total;dur=3.0\r\n"
    sample = await load(lambda body: echo(body, said), connections=1)
    assert (sample.timings_ms["preprocess"], sample.timings_ms["gateway"]) == (1.0, 2.0)
    assert not (await load(lambda body: echo(body, said), connections=2)).timings_ms


async def test_an_answer_that_the_cache_did_not_give_fails() -> None:
    exchanges = replace(EXCHANGES, cache="hit")
    sample = await load(lambda body: echo(body, b"x-cache: hit\r\n"), exchanges=exchanges)
    assert sample.requests
    with pytest.raises(WrongAnswerError, match="x-cache was to say hit, but says 'miss': 4 times"):
        await load(lambda body: echo(body, b"x-cache: miss\r\n"), exchanges=exchanges)


async def test_most_of_what_is_asked_twice_at_once_must_be_computed_once() -> None:
    exchanges = replace(EXCHANGES, cache="coalesced")
    sample = await load(lambda body: echo(body, b"x-cache: coalesced\r\n"), exchanges=exchanges)
    assert sample.requests
    with pytest.raises(WrongAnswerError, match="x-cache was to say coalesced, but says 'miss'"):
        await load(lambda body: echo(body, b"x-cache: miss\r\n"), exchanges=exchanges)
