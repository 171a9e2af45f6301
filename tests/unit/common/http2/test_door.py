from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.http2_peers import METHOD, Owner, Wire, framed, opened, wire_to
from tests.support.stages import until
from tests.support.stream_doors import UNARY, WAITING, Streams, door_server, running
from trireme_common.errors import SettingsError
from trireme_common.grpc_server import GrpcServer
from trireme_common.http2 import frames
from trireme_common.http2.door import wants_one_stream
from trireme_common.http2.frames import ONE_STREAM, PREFACE

MARK = PREFACE + frames.settings({frames.ENABLE_PUSH: 0, ONE_STREAM: 1})
ORDINARY = PREFACE + frames.settings({frames.ENABLE_PUSH: 0})


@asynccontextmanager
async def channel_to(server: GrpcServer, host: str = "127.0.0.1") -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"{host}:{server.port}", options=options) as channel:
        yield channel


async def served(server: GrpcServer, host: str = "127.0.0.1") -> bool:
    """Whether both kinds of connection are served at `host`."""
    owner = Owner()
    async with channel_to(server, host) as channel:
        assert await channel.unary_unary(UNARY)(b"abc") == b"abc"
    async with opened(f"{host}:{server.port}", owner) as stream:
        stream.send(b"abc")
        await until(lambda: owner.messages == [b"abc"])
    return True


@pytest.mark.parametrize(
    ("first", "verdict"),
    [
        (MARK, True),
        (MARK + b"and more", True),
        (ORDINARY, False),
        (PREFACE + frames.settings({}), False),
        (PREFACE + frames.settings({ONE_STREAM: 0}), False),
        (PREFACE + frames.settings({ONE_STREAM: 2}), False),
        (PREFACE + frames.frame(frames.SETTINGS, frames.ACK, 0), False),
        (PREFACE + frames.frame(frames.PING, 0, 0, bytes(8)), False),
        (PREFACE + frames.head(7, frames.SETTINGS, 0, 0), False),
        (PREFACE + frames.head(1026, frames.SETTINGS, 0, 0), False),
        (PREFACE + frames.settings(dict.fromkeys(range(100, 270), 1) | {ONE_STREAM: 1}), None),
        (b"GET / HTTP/1.1\r\n", False),
        (b"PRI * HTTP/1", False),
        (b"\x16\x03\x01", False),
        (b"", None),
        (b"PRI", None),
        (PREFACE, None),
    ],
)
def test_the_first_bytes_say_what_a_connection_is_for(first: bytes, verdict: bool | None) -> None:
    expected = len(first) <= 1024 + 33 if verdict is None and len(first) > 24 else verdict
    assert wants_one_stream(first) is expected


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(MARK) - 1))
def test_a_mark_that_is_not_there_as_a_whole_says_nothing_yet(size: int) -> None:
    assert wants_one_stream(MARK[:size]) is None
    if size < len(ORDINARY):
        assert wants_one_stream(ORDINARY[:size]) is None


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=80))
def test_nobody_is_taken_for_a_marked_one_by_chance(data: bytes) -> None:
    assert not wants_one_stream(data)
    assert not wants_one_stream(PREFACE + data) or ONE_STREAM.to_bytes(2, "big") in data


async def test_ordinary_clients_reach_the_grpc_server_behind() -> None:
    large = bytes(range(256)) * 20_000
    async with running(Streams()) as server, channel_to(server) as channel:
        await server.set_ready(True)
        health = health_pb2_grpc.HealthStub(channel)
        found = await health.Check(health_pb2.HealthCheckRequest(service="readiness"))
        assert found.status == health_pb2.HealthCheckResponse.SERVING
        assert await channel.unary_unary(UNARY)(large) == large
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]))
        answer = await call.read()
        names = {service.name for service in answer.list_services_response.service}
        assert {"test.Echo", "grpc.health.v1.Health"} <= names
        call.cancel()


async def test_a_watch_sees_readiness_change() -> None:
    async with running(Streams()) as server, channel_to(server) as channel:
        call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="readiness"))
        first = await call.read()
        await server.set_ready(True)
        second = await call.read()
        call.cancel()
    assert [first.status, second.status] == [
        health_pb2.HealthCheckResponse.NOT_SERVING,
        health_pb2.HealthCheckResponse.SERVING,
    ]


async def test_many_connections_of_both_kinds_at_once() -> None:
    streams = Streams()

    async def ordinary(number: int) -> bytes:
        async with channel_to(server) as channel:
            answer: bytes = await channel.unary_unary(UNARY)(b"%d" % number * 1000)
            return answer

    async def alone(number: int) -> bytes:
        owner = Owner()
        async with opened(f"127.0.0.1:{server.port}", owner) as stream:
            stream.send(b"%d" % number * 1000)
            await until(lambda: bool(owner.messages))
        return owner.messages[0]

    async with running(streams) as server:
        calls = [ask(number) for number in range(20) for ask in (ordinary, alone)]
        answers = await asyncio.gather(*calls)
        await until(lambda: all(echo.ends for echo in streams.served))
    assert answers == [b"%d" % number * 1000 for number in range(20) for _ in range(2)]


@pytest.mark.parametrize("first", [MARK, ORDINARY, b"GET / HTTP/1.1\r\n\r\n"])
async def test_the_first_word_may_come_in_single_bytes(first: bytes) -> None:
    wire = Wire()
    async with running(Streams()) as server, wire_to(f"127.0.0.1:{server.port}", wire):
        for byte in first:
            if wire.lost.is_set():
                break  # it has understood
            wire.transport.write(bytes([byte]))
            await asyncio.sleep(0.0005)
        await until(lambda: bool(wire.received) or wire.lost.is_set())
        if first.startswith(PREFACE):
            assert wire.received[3] == frames.SETTINGS


@pytest.mark.parametrize("first", [b"", PREFACE[:5], MARK[:-1], MARK, ORDINARY, ORDINARY + b"x", b"GET /"])
@pytest.mark.parametrize("leave", ["close", "abort", "write_eof"])
@pytest.mark.parametrize("waits", [False, True])
async def test_a_client_may_leave_at_any_point(first: bytes, leave: str, waits: bool) -> None:
    async with running(Streams()) as server:
        for _ in range(3):
            wire = Wire()
            async with wire_to(f"127.0.0.1:{server.port}", wire):
                wire.transport.write(first)
                if waits:
                    await asyncio.sleep(0.002)
                if not wire.lost.is_set():
                    getattr(wire.transport, leave)()
                await until(wire.lost.is_set)
        async with asyncio.timeout(10):  # nothing is left that it would have to wait for
            await server.stop(drain_seconds=0, grace_seconds=30)


async def test_a_connection_that_says_nothing_does_not_hold_up_the_end() -> None:
    wires = [Wire() for _ in range(3)]
    async with running(Streams()) as server:
        address = f"127.0.0.1:{server.port}"
        async with wire_to(address, wires[0]), wire_to(address, wires[1]), wire_to(address, wires[2]):
            wires[1].transport.write(PREFACE[:9])
            await asyncio.sleep(0.01)
            async with asyncio.timeout(10):
                await server.stop(drain_seconds=0, grace_seconds=30)
            await until(lambda: all(wire.lost.is_set() for wire in wires))


async def test_the_end_waits_for_a_stream_and_accepts_no_other() -> None:
    streams, owner = Streams(), Owner()
    async with running(streams) as server, opened(f"127.0.0.1:{server.port}", owner) as stream:
        stream.send(b"a")
        await until(lambda: owner.messages == [b"a"])
        end = asyncio.create_task(server.stop(drain_seconds=0, grace_seconds=30))
        await asyncio.sleep(0.02)
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await asyncio.open_connection("127.0.0.1", server.port)
        stream.send(b"b")
        await until(lambda: owner.messages == [b"a", b"b"])
        assert not end.done()
        stream.end_writing()
        async with asyncio.timeout(10):
            await end
        assert [found.status for found in owner.ends] == [0]


async def test_what_lasts_longer_than_the_grace_is_broken_off() -> None:
    streams, owner, silent = Streams(), Owner(), Wire()
    async with running(streams) as server, channel_to(server) as channel:
        address = f"127.0.0.1:{server.port}"
        call = channel.unary_unary(WAITING)(b"a")
        async with opened(address, owner) as stream, wire_to(address, silent):
            stream.send(b"a")
            silent.transport.write(ORDINARY)
            await until(lambda: owner.messages == [b"a"] and bool(silent.received))
            async with asyncio.timeout(10):
                await server.stop(drain_seconds=0, grace_seconds=0.05)
            await until(lambda: bool(owner.ends) and silent.lost.is_set())
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        assert len(streams.served[0].ends) == 1


@pytest.mark.parametrize("rounds", range(6))
async def test_the_end_may_come_while_connections_are_handed_over(rounds: int) -> None:
    wires = [Wire() for _ in range(8)]
    async with running(Streams()) as server:
        for wire in wires:
            await asyncio.get_running_loop().create_connection(lambda: wire, "127.0.0.1", server.port)  # noqa: B023
            wire.transport.write(ORDINARY)
        for _ in range(rounds):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await server.stop(drain_seconds=0, grace_seconds=0)
        await until(lambda: all(wire.lost.is_set() for wire in wires))


async def test_a_server_that_never_started_can_be_stopped() -> None:
    server = door_server(Streams())
    await server.stop(drain_seconds=0, grace_seconds=0)
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_connections_wait_until_the_server_has_started() -> None:
    streams, owner = Streams(), Owner()
    server = door_server(streams)
    async with opened(f"127.0.0.1:{server.port}", owner) as stream:
        stream.send(b"early")
        await asyncio.sleep(0.01)
        assert not owner.messages
        await server.start()
        await until(lambda: owner.messages == [b"early"])
    await server.stop(drain_seconds=0, grace_seconds=0)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_a_wildcard_means_both_families(host: str) -> None:
    async with running(Streams(), host) as server:
        assert await served(server)
        if has_ipv6():
            assert await served(server, "[::1]")


async def test_a_name_means_all_its_addresses() -> None:
    async with running(Streams(), "localhost") as server:
        for info in socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM):
            family, address = info[0], str(info[4][0])
            if family == socket.AF_INET:
                assert await served(server, address)
            elif has_ipv6():
                assert await served(server, f"[{address}]")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::"])
async def test_a_port_in_use_is_an_error_of_the_settings(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on .*:{port}"):
            door_server(Streams(), host, port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
async def test_an_address_that_is_not_ours_is_an_error_of_the_settings(host: str) -> None:
    with pytest.raises(SettingsError, match=f"cannot listen on {host}"):
        door_server(Streams(), host)


async def test_what_comes_with_the_first_word_is_not_lost() -> None:
    wire = Wire()
    headers = ((":method", "POST"), (":scheme", "http"), (":path", METHOD), (":authority", "stage"))
    request = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, Encoder().encode(headers))
    async with running(Streams()) as server, wire_to(f"127.0.0.1:{server.port}", wire):
        wire.transport.write(MARK + request + frames.frame(frames.DATA, 0, 1, framed(b"abc")))
        await until(lambda: framed(b"abc") in wire.received)
