from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import h2.events
import h2.settings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.http2_peers import (
    METHOD,
    Echo,
    H2Peer,
    Owner,
    Wire,
    framed,
    opened,
    wire_to,
)
from tests.support.stages import until
from tests.support.stream_doors import Streams, running
from trireme_common.grpc_server import MAX_MESSAGE_BYTES
from trireme_common.http2 import frames
from trireme_common.http2.connection import StreamEnd
from trireme_common.http2.messages import RESOURCE_EXHAUSTED, UNAVAILABLE, UNIMPLEMENTED

REQUEST = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", METHOD),
    (":authority", "stage"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
)
OPENING = frames.PREFACE + frames.settings({frames.ONE_STREAM: 1})


def kinds(peer: H2Peer) -> list[type]:
    return [type(event) for event in peer.events]


def trailers(peer: H2Peer) -> dict[str, str]:
    found = [event for event in peer.events if isinstance(event, h2.events.TrailersReceived)]
    return {} if not found else {str(name): str(value) for name, value in found[0].headers or ()}


@asynccontextmanager
async def from_h2(streams: Streams, peer: H2Peer | None = None, path: str = METHOD) -> AsyncIterator[H2Peer]:
    """A stream that h2 has opened here as a client does that wants one alone."""
    peer = peer or H2Peer(client=True, marked=True)
    async with running(streams) as server, wire_to(f"127.0.0.1:{server.port}", peer):
        peer.h2.send_headers(1, [(name, path if name == ":path" else value) for name, value in REQUEST])
        peer.flush()
        await until(lambda: peer.saw(h2.events.ResponseReceived))
        yield peer


async def test_messages_of_every_size_go_from_our_client_to_our_server_and_back() -> None:
    sent = [b"", b"a", b"b" * 16_384, b"c" * 5_000_000, b"", b"d" * 70_000]
    streams, owner = Streams(), Owner()
    async with running(streams) as server, opened(f"127.0.0.1:{server.port}", owner) as stream:
        for message in sent:
            stream.send(message)
        stream.end_writing()
        await until(lambda: bool(owner.ends))
        assert owner.messages == sent
        assert owner.ends == [StreamEnd(0, "")]
        (echo,) = streams.served
        await until(lambda: bool(echo.ends))
        assert [told for told in echo.told if told not in ("message_received", "writing_resumed")] == [
            "reading_ended",
            "stream_closed",
        ]


async def test_another_implementation_is_served() -> None:
    async with from_h2(Streams()) as peer:
        peer.say(framed(b"abc") + framed(b""), padding=9)
        await until(lambda: bytes(peer.data) == framed(b"abc") + framed(b""))
        peer.say(b"", end=True)
        await until(lambda: peer.saw(h2.events.StreamEnded))
        assert trailers(peer) == {"grpc-status": "0"}


async def test_the_smallest_windows_let_everything_through() -> None:
    values = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 5}
    async with from_h2(Streams(), H2Peer(client=True, marked=True, settings=values)) as peer:
        peer.say(framed(b"x" * 700), end=True)
        await until(lambda: peer.saw(h2.events.StreamEnded))
        assert bytes(peer.data) == framed(b"x" * 700)
        assert trailers(peer) == {"grpc-status": "0"}


async def test_pings_and_settings_are_answered() -> None:
    async with from_h2(Streams()) as peer:
        await until(lambda: peer.saw(h2.events.SettingsAcknowledged))
        peer.h2.ping(b"01234567")
        peer.flush()
        await until(lambda: peer.saw(h2.events.PingAckReceived))
        assert not peer.lost.is_set()


@pytest.mark.parametrize("path", ["/test.Echo/No", "/"])
async def test_a_method_that_is_not_there(path: str) -> None:
    streams = Streams()
    async with from_h2(streams, path=path) as peer:
        await until(lambda: peer.saw(h2.events.StreamEnded))
        assert trailers(peer)["grpc-status"] == str(UNIMPLEMENTED)
        peer.transport.write(frames.frame(frames.DATA, frames.END_STREAM, 1, framed(b"all the same")))
        peer.h2.ping(bytes(8))
        peer.flush()
        await until(lambda: peer.saw(h2.events.PingAckReceived))
    assert not streams.served


@pytest.mark.parametrize("detail", ['100 % wrong: \u00e4\u4e2d\n"<>"', "", "\u4e2d" * 50_000, "half \ud800"])
async def test_a_status_is_told_with_its_detail(detail: str) -> None:
    class Failing(Echo):
        def message_received(self, message: bytes) -> None:
            self.connection.send(b"before")
            self.connection.end(StreamEnd(9, detail))
            self.connection.send(b"after")
            self.connection.end(StreamEnd(0, ""))

    owner = Owner()
    async with running(Streams(Failing)) as server, opened(f"127.0.0.1:{server.port}", owner) as stream:
        stream.send(b"a")
        await until(lambda: bool(owner.ends))
    assert owner.messages == [b"before"]
    assert owner.ends == [StreamEnd(9, detail[:1024].replace("\ud800", "?"))]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x00" + (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"), RESOURCE_EXHAUSTED),
        (b"\x01\x00\x00\x00\x01a", UNIMPLEMENTED),
    ],
)
async def test_messages_that_cannot_be_taken_end_the_stream(data: bytes, status: int) -> None:
    streams = Streams()
    async with from_h2(streams) as peer:
        peer.h2.send_data(1, framed(b"good") + data)
        peer.h2.send_data(1, framed(b"after it"))
        peer.h2.ping(bytes(8))
        peer.flush()
        await until(lambda: peer.saw(h2.events.StreamEnded) and peer.saw(h2.events.PingAckReceived))
        assert trailers(peer)["grpc-status"] == str(status)
        assert bytes(peer.data) == framed(b"good")
        assert not peer.lost.is_set()
        (echo,) = streams.served
        assert [end.status for end in echo.ends] == [status]
        assert echo.messages == [b"good"]


async def test_a_request_without_messages_is_over_at_once() -> None:
    peer = H2Peer(client=True, marked=True)
    async with running(Streams()) as server, wire_to(f"127.0.0.1:{server.port}", peer):
        peer.h2.send_headers(1, REQUEST, end_stream=True)
        peer.flush()
        await until(lambda: peer.saw(h2.events.StreamEnded))
        assert trailers(peer) == {"grpc-status": "0"}


@pytest.mark.parametrize("leave", ["reset", "goaway", "close", "abort", "half-close"])
async def test_a_client_that_leaves_ends_the_stream_once(leave: str) -> None:
    streams = Streams()
    async with from_h2(streams) as peer:
        peer.say(framed(b"abc"))
        await until(lambda: bytes(peer.data) == framed(b"abc"))
        if leave == "reset":
            peer.h2.reset_stream(1, error_code=8)
            peer.flush()
        elif leave == "goaway":
            peer.h2.close_connection(error_code=2)
            peer.flush()
        elif leave == "half-close":
            peer.transport.write_eof()
        else:
            getattr(peer.transport, leave)()
        (echo,) = streams.served
        await until(lambda: bool(echo.ends))
        await until(peer.lost.is_set)
        assert [end.status for end in echo.ends] == [UNAVAILABLE]
        assert not echo.connection.writable
        echo.connection.send(b"nobody")
        echo.connection.end(StreamEnd(0, ""))
        assert echo.told[-1] == "stream_closed"


BROKEN = {
    "a second stream": frames.frame(frames.HEADERS, frames.END_HEADERS, 3, b"\x83"),
    "headers twice": frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\x83"),
    "a rest of headers": frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1),
    "a push": frames.frame(frames.PUSH_PROMISE, frames.END_HEADERS, 1, bytes(4)),
    "half a message": frames.frame(frames.DATA, frames.END_STREAM, 1, framed(b"abc")[:-1]),
    "half a prefix": frames.frame(frames.DATA, frames.END_STREAM, 1, b"\x00\x00"),
    "a long reset": frames.frame(frames.RST_STREAM, 0, 1, b"\xff" * 6000),
    "a short ping": frames.frame(frames.PING, 0, 0, b"abc"),
    "half a setting": frames.frame(frames.SETTINGS, 0, 0, b"abc"),
    "a setting out of range": frames.settings({frames.MAX_FRAME_SIZE: 1}),
    "a window too large": frames.window_update(0, frames.MAX_WINDOW) * 2,
    "a frame too large": frames.head(2**20 + 1, frames.DATA, 0, 1),
    "garbage": b"GET / HTTP/1.1\r\nHost: stage\r\n\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_client_that_breaks_the_rules_is_told_so_and_left(name: str) -> None:
    streams = Streams()
    async with from_h2(streams) as peer:
        peer.transport.write(BROKEN[name] + frames.frame(frames.DATA, 0, 1, framed(b"after it")))
        await until(peer.lost.is_set)
        assert peer.saw(h2.events.ConnectionTerminated)
        (echo,) = streams.served
        assert len(echo.ends) == 1
        assert echo.ends[0].detail.startswith("the peer does not keep to HTTP/2: ")
        assert not echo.messages


OPENED_BADLY = {
    "no HPACK": frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff"),
    "headers in several frames": frames.frame(frames.HEADERS, 0, 1, b"\x83"),
    "another stream first": frames.frame(frames.HEADERS, frames.END_HEADERS, 3, b"\x83"),
    "priority without room": frames.frame(
        frames.HEADERS, frames.END_HEADERS | frames.PRIORITISED, 1, b"\x83"
    ),
    "a reset of nothing": frames.frame(frames.RST_STREAM, 0, 1, bytes(4)),
    "garbage": b"\xff" * 40,
}


@pytest.mark.parametrize("name", OPENED_BADLY)
async def test_a_connection_that_opens_badly_is_closed(name: str) -> None:
    streams, wire = Streams(), Wire()
    async with running(streams) as server, wire_to(f"127.0.0.1:{server.port}", wire):
        wire.transport.write(OPENING + OPENED_BADLY[name])
        await until(wire.lost.is_set)
        assert wire.received
    assert not streams.served


async def test_data_before_the_stream_is_passed_over() -> None:
    streams = Streams()
    peer = H2Peer(client=True, marked=True)
    async with running(streams) as server, wire_to(f"127.0.0.1:{server.port}", peer):
        peer.transport.write(frames.frame(frames.DATA, 0, 1, b"\x00\x00"))
        peer.h2.send_headers(1, REQUEST)
        peer.say(framed(b"abc"))
        await until(lambda: bytes(peer.data) == framed(b"abc"))
    assert streams.served[0].messages == [b"abc"]


@settings(deadline=None, max_examples=30)
@given(st.binary(min_size=1, max_size=200))
async def test_after_whatever_bytes_others_are_still_served(garbage: bytes) -> None:
    streams, wire, owner = Streams(), Wire(), Owner()
    async with running(streams) as server:
        address = f"127.0.0.1:{server.port}"
        async with wire_to(address, wire), opened(address, owner) as stream:
            wire.transport.write(OPENING + garbage)
            stream.send(b"abc")
            await until(lambda: owner.messages == [b"abc"])
        await until(lambda: bool(streams.served[-1].ends))


async def test_a_client_that_asks_and_never_reads_is_given_up() -> None:
    streams = Streams()
    async with from_h2(streams) as peer:
        peer.transport.pause_reading()
        peer.h2.increment_flow_control_window(2**30)
        peer.h2.increment_flow_control_window(2**30, 1)
        peer.flush()
        (echo,) = streams.served
        await until(lambda: "writing_resumed" in echo.told)
        while echo.connection.writable:
            echo.connection.send(bytes(2**20))
            await asyncio.sleep(0)
        peer.transport.write(frames.frame(frames.PING, 0, 0, bytes(8)) * 10_001)
        await until(lambda: bool(echo.ends))
        assert "nobody reads" in echo.ends[0].detail


async def test_a_client_that_does_not_read_stops_the_owner_until_it_does() -> None:
    streams, owner = Streams(), Owner()
    async with running(streams) as server, opened(f"127.0.0.1:{server.port}", owner) as stream:
        stream.send(b"")
        await until(lambda: owner.messages == [b""])
        (echo,) = streams.served
        wire = Wire()
        async with wire_to(f"127.0.0.1:{server.port}", wire):
            wire.transport.pause_reading()
            peer = H2Peer(client=True, marked=True)
            peer.transport = wire.transport
            peer.connection_made(wire.transport)
            peer.h2.increment_flow_control_window(2**30)
            peer.h2.send_headers(1, REQUEST)
            peer.h2.increment_flow_control_window(2**30, 1)
            peer.flush()
            await until(lambda: len(streams.served) == 2)
            slow = streams.served[1]
            await until(lambda: "writing_resumed" in slow.told)
            slow.told.clear()
            while slow.connection.writable:
                slow.connection.send(bytes(2**20))
                await asyncio.sleep(0)
            stream.send(b"others go on")
            await until(lambda: len(owner.messages) == 2)
            assert not slow.told
            wire.transport.resume_reading()
            await until(lambda: "writing_resumed" in slow.told)
            assert slow.connection.writable
        assert not echo.ends


def test_the_codes_are_those_of_grpc() -> None:
    codes = (UNIMPLEMENTED, RESOURCE_EXHAUSTED, UNAVAILABLE)
    names = ("UNIMPLEMENTED", "RESOURCE_EXHAUSTED", "UNAVAILABLE")
    assert codes == tuple(grpc.StatusCode[name].value[0] for name in names)
