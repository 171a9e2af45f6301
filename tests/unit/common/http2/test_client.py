from __future__ import annotations

import h2.events
import h2.settings
import pytest
from hpack import Encoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.http2_peers import ANSWER, H2Peer, Owner, Wire, framed, listening, opened
from tests.support.stages import until
from tests.unit.common.http2.served import OK_TRAILERS, WINDOW, answer, opened_by, with_h2
from trireme_common.http2 import frames
from trireme_common.http2.connection import StreamEnd
from trireme_common.http2.messages import (
    INTERNAL,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    UNKNOWN,
)


async def test_the_smallest_windows_let_everything_through() -> None:
    def react(peer: H2Peer, event: h2.events.Event) -> None:
        answer(peer, event)
        if isinstance(event, h2.events.StreamEnded):
            peer.h2.send_headers(1, OK_TRAILERS, end_stream=True)

    async with with_h2(react, {WINDOW: 7}) as (stream, owner, peer):
        await until(lambda: peer.saw(h2.events.SettingsAcknowledged))
        sent = [b"a" * 900, b"", b"b" * 100]
        for message in sent:
            stream.send(message)
        assert not stream.writable
        stream.end_writing()
        await until(lambda: bool(owner.ends))
        assert bytes(peer.data) == b"".join(map(framed, sent))
        assert owner.ends == [StreamEnd(0, "")]


async def test_the_owner_is_told_when_the_peer_takes_more() -> None:
    async with with_h2(answer, {WINDOW: 0}, gives_back=False) as (stream, owner, peer):
        await until(lambda: peer.saw(h2.events.SettingsAcknowledged))
        owner.told.clear()
        stream.send(b"abc")
        assert not stream.writable
        peer.h2.increment_flow_control_window(4, 1)
        peer.flush()
        await until(lambda: len(peer.data) == 4)
        assert not stream.writable
        assert "writing_resumed" not in owner.told
        peer.h2.increment_flow_control_window(100, 1)
        peer.flush()
        await until(lambda: "writing_resumed" in owner.told)
        assert stream.writable
        await until(lambda: bytes(peer.data) == framed(b"abc"))


async def test_settings_in_the_middle_of_a_stream_are_taken_over_and_acknowledged() -> None:
    async with with_h2(answer) as (stream, owner, peer):
        await until(lambda: peer.saw(h2.events.SettingsAcknowledged))
        peer.events.clear()
        peer.h2.update_settings({WINDOW: 0})
        peer.flush()
        await until(lambda: peer.saw(h2.events.SettingsAcknowledged))
        stream.send(b"abc")
        assert not stream.writable
        peer.h2.update_settings({WINDOW: 1000, h2.settings.SettingCodes.MAX_FRAME_SIZE: 20_000})
        peer.flush()
        await until(lambda: stream.writable)
        await until(lambda: bytes(peer.data) == framed(b"abc"))
        assert not owner.ends


@pytest.mark.parametrize("padding", [0, 1, 255])
async def test_padding_and_empty_frames_do_not_matter(padding: int) -> None:
    async with with_h2(answer) as (_, owner, peer):
        data = framed(b"abc") + framed(b"") + framed(b"d" * 3000)
        for start in range(0, len(data), 7):
            peer.h2.send_data(1, data[start : start + 7], pad_length=padding)
            peer.h2.send_data(1, b"")
        peer.flush()
        await until(lambda: len(owner.messages) == 3)
        assert owner.messages == [b"abc", b"", b"d" * 3000]


async def test_pings_are_answered() -> None:
    async with with_h2(answer) as (_, owner, peer):
        peer.h2.ping(b"01234567")
        peer.flush()
        await until(lambda: peer.saw(h2.events.PingAckReceived))
        (ack,) = (event for event in peer.events if isinstance(event, h2.events.PingAckReceived))
        assert ack.ping_data == b"01234567"
        assert not owner.ends


async def test_what_was_received_is_given_back_as_window() -> None:
    async with with_h2(answer) as (_, owner, peer):
        await until(lambda: peer.h2.outbound_flow_control_window == frames.MAX_WINDOW)
        message = bytes(6 * 2**20)
        for count in range(1, 4):
            peer.say(framed(message), padding=None)
            await until(lambda: len(owner.messages) == count)  # noqa: B023  # waited for before the next
        await until(lambda: peer.h2.outbound_flow_control_window > frames.MAX_WINDOW - 2**24)
        await until(lambda: peer.h2.local_flow_control_window(1) > frames.MAX_WINDOW - 2**24)


async def test_a_server_that_takes_no_new_streams_may_end_this_one_in_its_time() -> None:
    async with with_h2(answer) as (stream, owner, peer):
        goaway = frames.frame(frames.GOAWAY, 0, 0, (1).to_bytes(4, "big") + bytes(4))
        peer.transport.write(goaway)
        peer.say(framed(b"abc"))
        await until(lambda: owner.messages == [b"abc"])
        stream.send(b"def")
        await until(lambda: bytes(peer.data) == framed(b"def"))
        assert not owner.ends


async def test_a_server_that_gives_up_ends_the_stream() -> None:
    async with with_h2(answer) as (stream, owner, peer):
        peer.h2.close_connection(error_code=11)
        peer.flush()
        await until(lambda: bool(owner.ends))
        assert owner.ends == [StreamEnd(UNAVAILABLE, "the peer gave up with HTTP/2 error 11")]
        await until(lambda: not stream.writable)


async def test_a_stream_that_the_server_resets_has_ended() -> None:
    async with with_h2(answer) as (_, owner, peer):
        peer.h2.reset_stream(1, error_code=8)
        peer.flush()
        await until(lambda: bool(owner.ends))
        assert owner.ends == [StreamEnd(UNAVAILABLE, "the peer gave up with HTTP/2 error 8")]
        await until(peer.lost.is_set)


@pytest.mark.parametrize(
    ("headers", "end"),
    [
        ((*ANSWER, ("grpc-status", "7"), ("grpc-message", "no %C3%A4 100%")), StreamEnd(7, "no \u00e4 100%")),
        ((*ANSWER, ("grpc-status", "16")), StreamEnd(16, "")),
        ((*ANSWER, ("grpc-status", "17")), StreamEnd(UNKNOWN, "")),
        ((*ANSWER, ("grpc-status", "-1")), StreamEnd(UNKNOWN, "")),
        ((*ANSWER, ("grpc-status", "9" * 5000)), StreamEnd(UNKNOWN, "")),
        (ANSWER, StreamEnd(UNKNOWN, "")),
        (
            ((":status", "503"), ("content-type", "text/html")),
            StreamEnd(UNKNOWN, "the peer answered with HTTP 503"),
        ),
    ],
)
async def test_an_answer_that_is_headers_alone(headers: tuple[tuple[str, str], ...], end: StreamEnd) -> None:
    def react(peer: H2Peer, event: h2.events.Event) -> None:
        if opened_by(event):
            peer.h2.send_headers(1, headers, end_stream=True)

    async with with_h2(react) as (_, owner, peer):
        await until(lambda: bool(owner.ends))
        assert owner.ends == [end]
        await until(peer.lost.is_set)


async def test_an_error_of_http_is_the_end_before_its_page_has_come() -> None:
    def react(peer: H2Peer, event: h2.events.Event) -> None:
        if opened_by(event):
            peer.h2.send_headers(1, ((":status", "404"),))
            peer.h2.send_data(1, b"<html>")

    async with with_h2(react) as (_, owner, _):
        await until(lambda: bool(owner.ends))
        assert owner.ends == [StreamEnd(UNKNOWN, "the peer answered with HTTP 404")]


async def test_a_stream_that_ends_without_a_status() -> None:
    async with with_h2(answer) as (_, owner, peer):
        peer.say(framed(b"abc"), end=True)
        await until(lambda: bool(owner.ends))
        assert owner.messages == [b"abc"]
        assert owner.ends == [StreamEnd(UNKNOWN, "the stream ended without a status")]


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"\x00" + (2**31).to_bytes(4, "big"), RESOURCE_EXHAUSTED), (b"\x01\x00\x00\x00\x01a", UNIMPLEMENTED)],
)
async def test_messages_that_cannot_be_taken_end_the_stream(data: bytes, status: int) -> None:
    async with with_h2(answer) as (_, owner, peer):
        peer.say(data + framed(b"after it"))
        await until(lambda: bool(owner.ends))
        assert [end.status for end in owner.ends] == [status]
        assert not owner.messages
        await until(peer.lost.is_set)
        assert peer.saw(h2.events.ConnectionTerminated)


BROKEN = {
    "headers in several frames": frames.frame(frames.HEADERS, 0, 1, b""),
    "a rest of headers": frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1),
    "a push": frames.frame(frames.PUSH_PROMISE, frames.END_HEADERS, 1, bytes(4)),
    "no HPACK": frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff"),
    "too many headers": frames.frame(
        frames.HEADERS, frames.END_HEADERS, 1, Encoder().encode([("x", "y" * 500)]) + b"\xbe" * 1000
    ),
    "a long reset": frames.frame(frames.RST_STREAM, 0, 1, b"\xff" * 6000),
    "a short reset": frames.frame(frames.RST_STREAM, 0, 1),
    "a short ping": frames.frame(frames.PING, 0, 0, b"abc"),
    "half a setting": frames.frame(frames.SETTINGS, 0, 0, b"abc"),
    "a window too large": frames.window_update(0, frames.MAX_WINDOW) * 2,
    "a frame too large": frames.head(2**24 - 1, frames.DATA, 0, 1),
    "padding too long": frames.frame(frames.DATA, frames.PADDED, 1, b"\xff"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_server_that_breaks_the_rules_is_told_so_and_left(name: str) -> None:
    async with with_h2(answer) as (stream, owner, peer):
        peer.transport.write(BROKEN[name] + frames.frame(frames.DATA, 0, 1, framed(b"after it")))
        await until(peer.lost.is_set)
        assert [end.status for end in owner.ends] == [INTERNAL]
        assert owner.ends[0].detail.startswith("the peer does not keep to HTTP/2: ")
        assert peer.saw(h2.events.ConnectionTerminated)
        assert not owner.messages
        assert not stream.writable


async def test_frames_of_kinds_unknown_and_of_other_streams_are_passed_over() -> None:
    async with with_h2(answer) as (_, owner, peer):
        peer.transport.write(
            frames.frame(0x99, 0xFF, 1, b"abc")
            + frames.frame(frames.PRIORITY, 0, 1, bytes(5))
            + frames.frame(frames.RST_STREAM, 0, 3, bytes(4))
            + frames.frame(frames.DATA, frames.END_STREAM, 3, b"abc")
            + frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 3, b"\x88")
        )
        peer.say(framed(b"abc"))
        await until(lambda: owner.messages == [b"abc"])
        assert not owner.ends


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=st.binary(max_size=200), end=st.booleans())
async def test_whatever_headers_come_the_stream_ends_at_most_once(block: bytes, end: bool) -> None:
    flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)

    class Server(Wire):
        def data_received(self, data: bytes) -> None:
            if not self.received:
                self.transport.write(frames.settings({}) + frames.frame(frames.HEADERS, flags, 1, block))
                self.transport.close()
            super().data_received(data)

    owner = Owner()
    async with listening(Server) as address, opened(address, owner):
        await until(lambda: bool(owner.ends))
    assert owner.told[-1] == "stream_closed"
    assert len(owner.ends) == 1
