from __future__ import annotations

import asyncio

import h2.events
import h2.settings
import pytest

from tests.support.http2_peers import METHOD, H2Peer, Owner, Wire, framed, listening, opened
from tests.support.stages import until
from tests.unit.common.http2.served import answer, with_h2
from trireme_common.http2 import frames
from trireme_common.http2.client import ClientStream
from trireme_common.http2.connection import StreamEnd
from trireme_common.http2.keepalive import Patience
from trireme_common.http2.messages import (
    INTERNAL,
    UNAVAILABLE,
)


async def test_what_cannot_be_reached_is_an_error_of_the_system() -> None:
    async with listening(Wire) as address:
        pass
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await ClientStream(address, METHOD, Owner(), Patience(1, 1), 100).open()


async def test_opening_may_be_given_up() -> None:
    async with listening(Wire) as address:
        owner = Owner()
        stream = ClientStream(address, METHOD, owner, Patience(1, 1), 100)
        task = asyncio.create_task(stream.open())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stream.abort()
        await asyncio.sleep(0.01)
        assert not owner.told
        assert not stream.writable


@pytest.mark.parametrize("word", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00", b"garbage" * 9, b""])
async def test_a_peer_that_speaks_something_else(word: bytes) -> None:
    class Other(Wire):
        def data_received(self, data: bytes) -> None:
            if not self.received:
                self.transport.write(word)
                self.transport.close()
            super().data_received(data)

    owner = Owner()
    async with listening(Other) as address, opened(address, owner):
        await until(lambda: bool(owner.ends))
    assert owner.ends[0].status in (INTERNAL, UNAVAILABLE)
    assert not owner.messages


async def test_a_peer_that_says_nothing_is_pinged_and_given_up() -> None:
    silent: list[Wire] = []

    def make() -> Wire:
        silent.append(Wire())
        return silent[-1]

    owner = Owner()
    async with listening(make) as address, opened(address, owner, patience=Patience(0.02, 0.02)):
        await until(lambda: bool(owner.ends))
        assert owner.ends == [StreamEnd(UNAVAILABLE, "the peer does not answer")]
        assert bytes(silent[0].received).endswith(frames.frame(frames.PING, 0, 0, bytes(8)))
        await until(silent[0].lost.is_set)


async def test_a_peer_that_answers_pings_is_kept() -> None:
    async with with_h2(answer, patience=Patience(0.01, 0.2)) as (_, owner, peer):

        def pings() -> int:
            return sum(isinstance(event, h2.events.PingReceived) for event in peer.events)

        await until(lambda: pings() >= 2)
        assert not owner.ends


@pytest.mark.parametrize("leave", ["close", "abort"])
async def test_a_connection_that_breaks_ends_the_stream_once(leave: str) -> None:
    async with with_h2(answer) as (stream, owner, peer):
        getattr(peer.transport, leave)()
        await until(lambda: bool(owner.ends))
        assert [end.status for end in owner.ends] == [UNAVAILABLE]
        assert not stream.writable
        stream.send(b"nobody")
        stream.end_writing()
        stream.abort()
        await asyncio.sleep(0)
        assert len(owner.ends) == 1


async def test_nothing_is_said_after_an_abort() -> None:
    async with with_h2(answer) as (stream, owner, peer):
        peer.say(framed(b"abc"))
        stream.abort()
        told = list(owner.told)
        await until(peer.lost.is_set)
        stream.abort()
        await asyncio.sleep(0.01)
        assert owner.told == told == ["writing_resumed"] * len(told)


async def test_an_owner_may_abort_while_it_takes_a_message() -> None:
    class Leaver(Owner):
        stream: ClientStream

        def message_received(self, message: bytes) -> None:
            super().message_received(message)
            self.stream.abort()

    peers: list[H2Peer] = []

    def make() -> H2Peer:
        peers.append(H2Peer(client=False, react=answer))
        return peers[-1]

    owner = Leaver()
    async with listening(make) as address, opened(address, owner) as stream:
        owner.stream = stream
        await until(lambda: bool(peers) and peers[0].saw(h2.events.RequestReceived))
        peers[0].h2.ping(bytes(8))
        peers[0].say(framed(b"one") + framed(b"two") + framed(b"three"))
        await until(peers[0].lost.is_set)
    assert owner.messages == [b"one"]
    assert not owner.ends


async def test_a_socket_that_is_full_stops_the_owner_until_it_is_read() -> None:
    async with with_h2(answer) as (stream, owner, peer):
        await until(lambda: peer.saw(h2.events.SettingsAcknowledged))
        peer.h2.increment_flow_control_window(2**30)
        peer.h2.increment_flow_control_window(2**30, 1)
        peer.flush()
        peer.h2.ping(bytes(8))
        peer.flush()
        await until(lambda: peer.saw(h2.events.PingAckReceived))  # so the windows have come
        peer.transport.pause_reading()
        owner.told.clear()
        sent = 0
        while stream.writable:
            stream.send(bytes(2**20))
            sent += 1
            await asyncio.sleep(0)
        assert not owner.told
        peer.transport.resume_reading()
        await until(lambda: "writing_resumed" in owner.told)
        assert stream.writable
        await until(lambda: len(peer.data) == sent * (2**20 + 5))
