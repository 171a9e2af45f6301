"""Peers that answer, hang, refuse and lie."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.stage_process import free_port
from trireme_gateway.scaling.peers import Peers, parse_peers
from trireme_gateway.scaling.report import MAX_REPORT_BYTES, PoolLoad, Report


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.0 " + status + b"\r\ncontent-type: application/json\r\n\r\n" + body


@asynccontextmanager
async def peer(said: bytes | None) -> AsyncIterator[str]:
    """host:port of a server that says `said` to every request, or nothing at all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"GET /scaling/own HTTP/1.0\r\n")
        if said is None:
            await reader.read()
        else:
            writer.write(said)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def report(name: str) -> Report:
    return Report(name, {"default": PoolLoad(1, 2.0, 3.0)})


async def test_a_name_is_as_many_gateways_as_it_has_addresses() -> None:
    async with peer(answer(report("one").encode())) as one, peer(answer(report("two").encode())) as two:

        async def resolve(host: str, port: int) -> list[str]:
            assert (host, port) == ("gateways", 9090)
            return [one, two, one]

        reports, missing = await Peers(["gateways:9090"], resolve).ask()
    assert sorted(found.gateway for found in reports) == ["one", "two"]
    assert missing == 0


@pytest.mark.parametrize(
    "said",
    [
        None,
        b"",
        answer(b"{}"),
        answer(report("x").encode(), b"503 Service Unavailable"),
        answer(b" " * (MAX_REPORT_BYTES + 2)),
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
    ids=["hangs", "closes", "no report", "503", "too long", "no HTTP"],
)
async def test_one_that_gives_no_report_is_left_out_and_counted(said: bytes | None) -> None:
    async with peer(said) as bad, peer(answer(report("one").encode())) as good:
        reports, missing = await Peers([bad, good], seconds=0.3).ask()
    assert [found.gateway for found in reports] == ["one"]
    assert missing == 1


async def test_nobody_there_and_a_name_that_does_not_resolve_are_counted() -> None:
    reports, missing = await Peers([f"127.0.0.1:{free_port()}", f"{'a' * 70}.invalid:1"]).ask()
    assert (reports, missing) == ([], 2)


async def test_without_addresses_nobody_is_asked() -> None:
    assert await Peers([]).ask() == ([], 0)


def test_addresses_are_host_and_port() -> None:
    assert parse_peers("a:1, [::1]:2,") == ["a:1", "[::1]:2"]
    for wrong in ("a", "a:b", ":1"):
        with pytest.raises(ValueError, match="not host:port"):
            parse_peers(wrong)
